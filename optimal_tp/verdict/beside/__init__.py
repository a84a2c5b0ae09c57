"""What stands beside a verdict and never decides: how far from the limit, and what would change it."""
