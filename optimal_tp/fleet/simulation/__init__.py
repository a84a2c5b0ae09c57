"""Queues of a fleet, simulated."""
