"""What the servers counted themselves, as their /metrics says, and whether that is what was sent to them."""
