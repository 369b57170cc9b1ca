"""Training on this machine's CPU: one recipe, resumable to the bit."""
