"""The operators of the integer graph, a family a file: what each means, in words and in NumPy.

An operator is a frozen dataclass with `inputs`, the tensors that it reads, and `compute`, which every kernel
has to equal bit for bit. `compute` takes its inputs by name, [N, H, W, C], those of islands as in ONNX.
"""
