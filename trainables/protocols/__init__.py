"""Protocols: how planning is judged, by name. A file has `settings(world)`: what it fixes, by path."""
