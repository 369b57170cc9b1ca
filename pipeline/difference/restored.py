"""Finds which tensors matter: B's logits after single tensors are replaced by A's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.difference.compare import NetworkComparison
from pipeline.difference.decibels import ratio_db
from pipeline.difference.place import Array
from pipeline.report.model.certainty import Interval
from pipeline.report.stats import difference_interval

SPREAD = 12
"""How many tensors are put back besides those with findings, evenly spread over the depth."""


@dataclass(frozen=True)
class Restored:
    """B's logits after one tensor is replaced by A's."""

    tensor: str
    logits_db: float
    same_class: float
    """The share of pictures with A's class."""
    gain: Interval
    """95 % interval of how much that share gains, in points, paired over the pictures."""


def restore_each(found: NetworkComparison) -> tuple[Restored, ...]:
    """Replace B's tensors by A's one at a time, in the order of computation. Tensors that B scales are left
    out.
    """
    sides = found.sides
    wanted = _tensors(found)
    logits_a = sides.a_values[sides.a.output]
    before = sides.b_values[sides.b.output]
    if logits_a.shape != before.shape:
        return ()
    answers, told = logits_a.argmax(1), before.argmax(1)
    rows = []
    for tensor in wanted:
        after = logits_with(
            sides.b.model, sides.matching.names[tensor], sides.a_values[tensor], found.pictures
        )
        if after is None:
            continue
        said = after.argmax(1)
        won = int(((said == answers) & (told != answers)).sum())
        lost = int(((said != answers) & (told == answers)).sum())
        interval = difference_interval(won, lost, answers.size)
        points = Interval(low=100 * interval.low, high=None if interval.high is None else 100 * interval.high)
        same = float((said == answers).mean())
        rows.append(Restored(tensor, ratio_db(logits_a, after), same, points))
    return tuple(rows)


def _tensors(found: NetworkComparison) -> Sequence[str]:
    faulty = {one.place for one in found.findings}
    names = [name for name in found.sides.matching.names if name not in found.rescaled]
    spread = names[:: max(1, len(names) // SPREAD)]
    chosen = faulty | set(spread)
    return [name for name in names if name in chosen and name != found.sides.a.output]


def logits_with(
    model: onnx.ModelProto, tensor: str, value: Array, pictures: NDArray[np.uint8]
) -> Array | None:
    """Return logits with the values of `tensor` given [N, ...]; None if the graph does not run so."""
    from calibration.exact.session import ALL_CORES, AS_WRITTEN, is_from_onnxruntime, open_session

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        for place, name in enumerate(node.output):
            if name == tensor:
                node.output[place] = f"{tensor}/replaced"
    changed.graph.input.append(
        onnx.helper.make_tensor_value_info(
            tensor, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), [None, *value.shape[1:]]
        )
    )
    try:
        session = open_session(changed.SerializeToString(), ALL_CORES, AS_WRITTEN)
        picture = next(one for one in session.get_inputs() if one.name != tensor)
        step = picture.shape[0] if isinstance(picture.shape[0], int) else len(pictures)
        output = session.get_outputs()[0].name
        parts = [
            session.run([output], {picture.name: pictures[i : i + step], tensor: value[i : i + step]})[0]
            for i in range(0, len(pictures), step)
        ]
    except Exception as error:
        if not is_from_onnxruntime(error):
            raise
        return None
    return np.concatenate(parts)
