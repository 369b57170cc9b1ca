"""The steps of operators that go over tensors number by number."""

import numpy as np

from targets.tvm.addresses import Addresses
from targets.tvm.operators.element_by_element import Pointwise
from targets.tvm.program import NOTHING, Step


def pointwise(op: Pointwise, place: Addresses) -> Step:
    """The one step of such an operator: its kernel, at the addresses of what that reads and writes."""
    call = op.call(place)
    w = 0 if call.constants is None else place.constants.add(call.constants)
    p = 0
    if call.multiplier is not None:
        zero, multiplier = np.array([-place.zero(op.input)]), np.array([call.multiplier])
        p = place.parameters(zero, multiplier, op.output, call.clip, call.joined)
    return Step(
        op.node,
        call.kernel,
        x=place.pixels(op.input),
        w=w,
        p=p,
        r=NOTHING if call.joined is None else place.pixels(call.joined.tensor),
        y=place.pixels(op.output),
        fill=place.fill(op.output),
    )
