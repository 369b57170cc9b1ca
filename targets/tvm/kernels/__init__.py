"""Generators of TIR kernels. Every kernel is `void kernel(x, w, p, r, y, begin, end)` over raw pointers."""
