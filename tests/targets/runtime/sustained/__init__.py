"""What a device does over minutes."""
