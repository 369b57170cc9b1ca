"""One form for every ONNX file: what exporters of all ages write differently is written one way here.

Each file does one thing to a model, in place. `read_normal` puts them in order.
"""
