"""Methods: presets of terms, and of what else a paper ties to them. A file has `settings(world)`, changes by path."""
