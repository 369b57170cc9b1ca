"""Bundles on the build machine: packed, signed, read back, and sent to devices."""
