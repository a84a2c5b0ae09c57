"""A continuous-batching engine by its iterations: simulated, fitted to a run, held against it."""
