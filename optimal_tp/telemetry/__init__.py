"""A run under way: published to CloudWatch, and watched."""
