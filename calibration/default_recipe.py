"""The default recipe, chosen by a rule from the operators of the network."""

from calibration.onnx_graph import OnnxGraph, is_grouped
from calibration.recipe import QuantRecipe
from calibration.scheme import Scheme

FOR_GROUPED = {
    Scheme.ASYM: QuantRecipe.parse("w8a8_asym_mse_eq_sens_wmse_obq_bc"),
    Scheme.SYM: QuantRecipe.parse("w8a8_sym_mse_eq_pix_sens_wide_wmse_obq_bc"),
}
WIDE_FOR_GROUPED = FOR_GROUPED | {Scheme.ASYM: QuantRecipe.parse("w8a8_asym_mse_sens_res_wide_wmse_obq_bc")}
"""For targets whose engines read 16-bit integers. docs/calibration.md has what was measured."""


def recipe_for(graph: OnnxGraph, usual: QuantRecipe, reads_wide: bool) -> QuantRecipe:
    """Return the recipe for a float network; `usual` is the target's own, for residual networks.

    A network with depthwise or grouped convolutions loses more in 8 bits, since each of their channels has a
    handful of weights and a range of its own: it gets ranges of least error at the logits, scales, rounding
    that depend on the layer's inputs, and 16 bits for the activations that need them most: FP16 under
    w8a8_sym, integers where the target `reads_wide`. Without such integers channels are rescaled instead, and
    for the layers that stay in INT8 under w8a8_sym.
    """
    if not any(map(is_grouped, graph.nodes)):
        return usual
    return (WIDE_FOR_GROUPED if reads_wide else FOR_GROUPED)[usual.scheme]
