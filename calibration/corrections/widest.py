"""widest: 16 bits for all activations that can have them; see `wide_activations`."""

from collections.abc import Mapping
from math import inf
from typing import ClassVar

from calibration.corrections.wide import WideActivations
from calibration.scheme import Scheme


class WidestActivations(WideActivations):
    """Gives 16 bits to all tensors that can have them."""

    word = "widest"
    summary = "16 bits for all activations that can have them, for up to twice the time"
    budget: ClassVar[float] = inf
    agreement: ClassVar[float] = inf
    pointless: ClassVar[Mapping[Scheme, str]] = {Scheme.SYM: "would be the network in FP16"}
    conflicts: ClassVar[Mapping[str, str]] = {"wide": "wide chooses some of the tensors, widest takes all"}
