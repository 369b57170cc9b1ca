"""Training on this machine, with one recipe. A resumed run gives the same bits."""
