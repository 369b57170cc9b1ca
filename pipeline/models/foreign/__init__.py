"""Any ONNX file as a model, described by a short TOML file beside it.

`description` reads them, `onnx_file` the graph's input and output; `guess` proposes what they could be.
`adopt` gives the graph the form of ours: `simplify`, then `normalisation` in front and `logits` at the end.
`original` runs the user's file, to compare.
"""
