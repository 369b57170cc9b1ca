"""What is wrong with a network that does no better than guessing: usual causes, tried on labelled images."""
