"""Programs for pods with nothing installed: standard library, errors and shapes only."""
