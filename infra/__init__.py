"""The infrastructure: everything from an empty account to a cluster that can launch Trainium2 nodes."""
