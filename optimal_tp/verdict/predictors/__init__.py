"""Predictions of others, made without a measurement, and how they stand against it."""
