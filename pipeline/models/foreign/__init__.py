"""Any ONNX network as a model, by what a few lines of TOML beside it say.

`description` reads them, `onnx_file` the graph's input and output; `guess` proposes what they could be.
`adopt` puts the graph into the project's form: `simplify`, then `normalisation` in front, `logits` at the end.
`original` runs it as it came, to compare.
"""
