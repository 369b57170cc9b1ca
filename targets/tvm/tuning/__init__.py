"""Finding block sizes by measuring, and remembering them."""
