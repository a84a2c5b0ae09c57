"""What physics allows: the bytes and operations that a model's tokens take, and the least time for them."""
