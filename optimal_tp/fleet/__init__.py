"""From a run's service times to a fleet: replicas, nodes and dollars that carry a rate within a limit."""
