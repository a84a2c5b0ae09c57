"""Commands for a stack that is up: its results bucket and its cluster."""
