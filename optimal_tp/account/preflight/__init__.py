"""What would go wrong on AWS, asked before anything is made."""
