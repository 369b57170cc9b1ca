"""Reads networks that another tool quantised into the form that every target compiles.

`integer_operators` writes operators that compute in integers (QLinearConv, QGemm, ...) as Q/DQ around float
ones, `integer_moves` those that move or pick integers. `canonical_qdq` then walks the graph once: activations
get one scale and one type, `weighted_layer` brings weights and biases into one form. `quantised_front` puts
the pixels in front. `write_canonical` writes it as it is compiled, with `wide_weights` for those that 8 bits
do not hold; `unrounded` writes the same network in float.
"""
