"""Predictions of other programs, made without a measurement, and how they compare with one."""
