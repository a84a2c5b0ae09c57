"""Views of a run beside its verdict: other limits, the spread of latencies, the course of the race, its turns."""
