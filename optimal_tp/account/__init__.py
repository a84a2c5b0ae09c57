"""What AWS says about one account, read and never changed."""
