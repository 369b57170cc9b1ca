"""The integer compiler: a Q/DQ graph becomes kernels that TVM generates, linked into an engine with no runtime."""
