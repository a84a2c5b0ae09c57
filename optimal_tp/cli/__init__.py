"""The commands of optimal-tp, one module each."""
