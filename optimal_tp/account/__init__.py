"""Read the state of an AWS account; only ``leftovers --remove`` changes it."""
