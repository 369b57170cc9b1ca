"""Reading weights: the kind of file, the sets of weights in it, and the choice between them."""
