"""The kinds of faults, each as a change of an ONNX graph at a place drawn at random.

A planter returns the name of the node or tensor that it changed, or None where a network has no place for it.
The kinds are the words of `pipeline.difference.fault_kind`.
"""

from collections.abc import Callable

from benchmarks.planted import picture_faults, quantiser_faults, structure_faults, weight_faults
from benchmarks.planted.rewiring import Model, Rng

Planter = Callable[[Model, Rng], str | None]

PLANTERS: dict[str, tuple[str, Planter]] = {
    "bgr": ("channel order of the picture", picture_faults.bgr),
    "mean": ("normalisation", picture_faults.mean),
    "std": ("normalisation", picture_faults.std),
    "range": ("normalisation", picture_faults.value_range),
    "limited range": ("normalisation", picture_faults.limited_colour_range),
    "mirrored": ("picture geometry", picture_faults.mirrored),
    "shifted": ("picture geometry", picture_faults.shifted_picture),
    "other weights": ("weights", weight_faults.other_weights),
    "flipped kernel": ("kernel orientation", weight_faults.flipped_kernel),
    "per-tensor weights": ("weight precision", weight_faults.per_tensor_weights),
    "4-bit weights": ("weight precision", weight_faults.four_bit_weights),
    "scale of another axis": ("weight scales", weight_faults.scale_of_another_axis),
    "no bias": ("bias", weight_faults.no_bias),
    "scaled bias": ("bias", weight_faults.scaled_bias),
    "other norm": ("norm", weight_faults.other_norm),
    "truncated weights": ("missing bias correction", weight_faults.truncated_weights),
    "padding side": ("padding", structure_faults.padding_side),
    "dilation": ("window", structure_faults.dilated),
    "no activation": ("activation", structure_faults.no_activation),
    "leaky activation": ("activation", structure_faults.other_activation),
    "moved activation": ("fused differently", structure_faults.moved_activation),
    "no residual": ("missing operand", structure_faults.no_residual),
    "half overflow": ("half precision", structure_faults.half_overflow),
    "shuffled channels": ("channel order inside", structure_faults.shuffled_channels),
    "other pooling": ("pooling", structure_faults.other_pooling),
    "resize corners": ("resize", structure_faults.resize_corners),
    "clipped range": ("clipped range", quantiser_faults.clipped_range),
    "range from 0": ("fused differently", quantiser_faults.range_from_zero),
    "coarse activation": ("coarse range", quantiser_faults.coarse_activation),
    "scale behind": ("scale", quantiser_faults.other_scale_behind),
    "zero point": ("zero point", quantiser_faults.other_zero_point),
    "class order": ("class order", structure_faults.class_order),
    "softmax": ("output function", structure_faults.softmax),
}
"""Each fault with the kind that has to be named."""
