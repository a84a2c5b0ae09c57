"""A run at rest: written to a folder or a bucket, and read again."""
