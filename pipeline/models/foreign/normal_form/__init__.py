"""One normal form for every ONNX file: what exporters write in different ways is written in one way here.

Each file makes one change to a model, in place. `read_normal` puts them in order.
"""
