"""What is already computed is not computed again: stages, their keys, and the one store of their outputs."""
