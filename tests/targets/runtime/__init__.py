"""What ships to the device."""
