"""A run beside its physical limit: figures, words and what the page shows."""
