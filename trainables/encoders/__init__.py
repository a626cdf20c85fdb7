"""Encoders: normalised images (N, 3, H, W) -> features (N, P, F). A file has `Config` and `build(config, image_size)`;
a Config tells `features` (F), and the module that `build` returns carries `features` and `patches` (P, 1 for a global
latent). A Config may say that the encoder is not trained (`frozen`), that its features are kept (`cached`), and how to
build it without pretrained weights (`bare`); a file what this machine lacks to build it (`lacking(config)`)."""
