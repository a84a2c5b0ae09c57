"""Facts beside a verdict that never decide it: how far candidates are from the limit, and what would change it."""
