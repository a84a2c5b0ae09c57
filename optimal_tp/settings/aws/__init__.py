"""AWS ids and ARNs, and existing resources that a stack may use."""
