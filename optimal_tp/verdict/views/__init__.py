"""What a run shows beside its verdict: other limits, the spread of latencies, the race as it went, its turns."""
