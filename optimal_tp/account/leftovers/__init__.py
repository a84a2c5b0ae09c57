"""Find resources that are left after destroy, with their cost, and remove them."""
