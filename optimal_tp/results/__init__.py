"""Stored runs: write them to a folder or a bucket, and read them again."""
