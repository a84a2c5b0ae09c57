"""What a run has besides in a cluster: servers that are scaled, deadline, receipt."""
