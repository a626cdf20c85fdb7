"""Planners: search for the action blocks that bring the latent to a goal. A file has `Config` and
`plan(config, cost, bounds, generators)`."""
