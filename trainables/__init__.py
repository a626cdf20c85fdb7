"""What a trial is made of: configuration, model parts, training, measures and the store that keeps them."""
