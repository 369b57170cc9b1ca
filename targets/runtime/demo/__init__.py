"""`./run camera`: classify what a camera sees, and show it."""
