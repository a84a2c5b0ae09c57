"""The commands that prepare a stack file, the shell, or this machine."""
