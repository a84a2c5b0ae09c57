"""What a stack file may say, parsed and checked."""
