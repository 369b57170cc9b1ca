"""What users would run on this machine without edgec: measured for comparison, never shipped.

`prepared_input` runs a network as its user does, with its input normalised before; `behind_pixels` takes
edgec's own normalisation off a network; `static_int8` is onnxruntime's own quantisation.
"""
