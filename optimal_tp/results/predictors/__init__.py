"""Readers of predictions: our own neutral form, and what planners, simulators and benchmarks write."""
