"""Bundles on the device."""
