"""The load command: its options, its access to servers, and its results."""
