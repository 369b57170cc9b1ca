"""Any ONNX network as a model, by what a few lines of TOML beside it say.

`description` reads them, `onnx_file` the graph's input and output; `guess` proposes what they could be.
`adopt` gives the graph the form of ours: `simplify`, then `normalisation` in front and `logits` at the end.
`original` runs it as it came, to compare.
"""
