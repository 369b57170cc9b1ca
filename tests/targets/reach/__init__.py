"""Reaching a device, or its emulator."""
