"""What is decided before the first request: memory, servers on nodes, cost, schedule."""
