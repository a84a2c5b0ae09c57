"""Kubernetes manifests of the experiment: plain typed dictionaries, built without Pulumi or a cluster."""
