"""The race against planted truths, in virtual time."""
