"""The experiment: compiled artifacts, vLLM servers, the load generator, the verdict and its report."""
