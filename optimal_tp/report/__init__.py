"""The verdict on a run, and the report that carries it."""
