"""What every command has in common at the terminal: the parser, the output options, the words of help."""
