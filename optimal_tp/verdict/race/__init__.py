"""Candidates compared block by block at rates near their own capacity: docs/concepts/verdict.md has the rule."""
