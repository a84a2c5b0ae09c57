"""The same experiment on one machine: vLLM on CPU cores, CloudWatch and S3 on loopback."""
