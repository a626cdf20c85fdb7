"""Terms of the objective, each a number computed from one batch of latents. A file has `Config` (with `weight`),
`head(config, dims)` (a network of its own, or None) and `loss(config, head, batch)`, a scalar of a `Latents`.

A Config may say how many frames of a clip the term needs (`clip(history)`, 2 where it does not), and that it needs the
frames' pixels (`pixels = True`)."""
