"""Bundles on the device: reading, verifying and installing them."""
