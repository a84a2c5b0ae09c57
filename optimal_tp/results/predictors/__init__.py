"""Readers of predictions: our own neutral form, and the files of planners, simulators and benchmarks."""
