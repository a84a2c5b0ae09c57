"""A vLLM server as Kubernetes is told: for the experiment and for a planned fleet."""
