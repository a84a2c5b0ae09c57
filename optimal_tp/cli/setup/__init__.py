"""The commands that prepare: a stack file, the shell, this machine."""
