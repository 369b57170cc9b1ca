"""Finds where a file of half precision overflows. Its copy in float32, which is looked into, does not."""

from collections.abc import Iterator

import numpy as np
import onnx

from pipeline.difference.decibels import MOST_DB, all_finite
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.side import Array, Pictures
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.original import refusals

LOOKED_AT = 8
"""Pictures."""
IN_FLOAT32 = "Export this layer in float32, or scale the network so that it stays below 65504."
"""A remedy that has been done to the copy that is looked into."""


def first_overflow(source: ForeignModel, pictures: Pictures) -> Discrepancy | None:
    """Run the file itself, operator by operator, and return its first tensor that is not finite.

    None if all are. Raises CheckpointError if onnxruntime refuses the file.
    """
    with refusals(source.path):
        for values in _values(source, pictures[:LOOKED_AT]):
            for name, found in values.items():
                if np.issubdtype(found.dtype, np.floating) and not all_finite(found):
                    share = float((~np.isfinite(found)).mean())
                    evidence = (
                        f"in half precision, which ends at 65504, {share:.2%} of a picture's values in"
                        f" {source.path.name} are not finite; the other figures are of its copy in float32"
                    )
                    kind = FaultKind.HALF_PRECISION
                    return Discrepancy(kind, name, evidence, -MOST_DB, None, IN_FLOAT32)
    return None


def _values(source: ForeignModel, pictures: Pictures) -> Iterator[dict[str, Array]]:
    """Yield, for each picture, the tensors of the file in the order of computation."""
    from calibration.exact.session import ALL_CORES, AS_WRITTEN, open_session
    from targets.peers.prepared_input import ELEMENTS, as_element

    model = onnx.load(source.path)
    computed = [
        name for node in model.graph.node if node.op_type != "Constant" for name in node.output if name
    ]
    present = {one.name for one in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in computed if name not in present
    )
    session = open_session(model.SerializeToString(), ALL_CORES, AS_WRITTEN)
    given = session.get_inputs()[0]
    element = ELEMENTS[given.type]
    for picture in pictures:
        floats = np.issubdtype(element, np.floating)
        fed = as_element(source.normalised(picture) if floats else source.fed(picture), element)
        if isinstance(given.shape[0], int):
            fed = np.repeat(fed, given.shape[0], axis=0)
        yield dict(zip(computed, session.run(computed, {given.name: fed}), strict=True))
