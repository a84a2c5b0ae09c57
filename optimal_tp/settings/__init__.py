"""Parse and check the settings of a stack file."""
