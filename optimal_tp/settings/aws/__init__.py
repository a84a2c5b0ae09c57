"""What AWS calls things: ids and ARNs, and what may be there already."""
