"""Measures the load generator beside its peers, in one run. The only place where times are judged."""
