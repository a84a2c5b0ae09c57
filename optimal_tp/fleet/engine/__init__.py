"""A model of a continuous-batching engine, step by step: simulated, fitted to a run, compared with the run."""
