"""Common parts of all commands: the parser, the output options, the selected stack, lists of checks."""
