"""Long runs on a device."""
