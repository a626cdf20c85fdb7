"""Encoders: normalised images (N, 3, H, W) -> features (N, P, F). A file has `Config` and `build(config, image_size)`;
the module that `build` returns carries `features` (F) and `patches` (P, 1 for a global latent)."""
