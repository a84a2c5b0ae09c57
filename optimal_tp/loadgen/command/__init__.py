"""The load command: what it may be told, whom it may reach, and what it writes."""
