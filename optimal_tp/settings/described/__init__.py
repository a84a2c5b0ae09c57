"""Descriptions of the settings: their fields in words, and their JSON Schema."""
