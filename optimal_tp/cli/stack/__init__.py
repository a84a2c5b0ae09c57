"""Commands for a running stack: its results bucket and its cluster."""
