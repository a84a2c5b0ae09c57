"""What is still there after destroy, and what it costs."""
