"""Scales: how large an experiment is. A file has `settings(world)`, every setting but the method's, and `SIZES`, what
the short names `encoder=vit`, `predictor.size=tiny` (of one kind of predictor `predictor.<name>.size`) and a term or
measure stand for at that scale; `method.<name>` has what a method has there, by path."""
