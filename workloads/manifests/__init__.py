"""What Kubernetes is told about the experiment: plain typed dictionaries, made without Pulumi or a cluster."""
