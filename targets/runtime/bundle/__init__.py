"""What a bundle is, whether it can be trusted, and installing it."""
