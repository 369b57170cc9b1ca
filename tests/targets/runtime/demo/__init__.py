"""`./run camera`."""
