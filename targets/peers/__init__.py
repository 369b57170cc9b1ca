"""What people would run instead of an engine of ours on the same machine: measured beside it, never shipped.

`prepared_input` runs a network as its user does, with its input normalised before; `behind_pixels` takes
edgec's own normalisation off a network; `static_int8` is onnxruntime's own quantisation.
"""
