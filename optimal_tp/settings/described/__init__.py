"""What the settings say of themselves: their fields in words, and their JSON Schema."""
