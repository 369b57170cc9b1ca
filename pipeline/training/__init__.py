"""Training on this machine: one recipe; a resumed run gives the same bits."""
