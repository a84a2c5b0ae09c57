"""Find out what would go wrong on AWS before anything is created."""
