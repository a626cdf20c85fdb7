"""Predictors: latents z (B, T, P, D) and conditioning (B, T, E) -> next features (B, T, P, D), causal over T.

A file has `Config` and `build(config, dim, condition, history, patches)`, for latents of size D = `dim` under
conditioning of size E = `condition`.
"""
