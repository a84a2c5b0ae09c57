"""Candidates compared block by block at rates near their own capacity: docs/verdict.md has the rule."""
