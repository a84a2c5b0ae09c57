"""Turns in blocks until the rule decides."""
