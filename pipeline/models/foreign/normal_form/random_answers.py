"""Refuses networks whose answer is not decided by the image: in training mode, or with random numbers."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError
from pipeline.models.foreign.normal_form.known_shapes import independent_of_values

MODE_IS_SAID = 14
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


def refuse_random_answers(model: onnx.ModelProto, path: Path) -> None:
    """Raise CheckpointError if a node's result depends on chance, or on the other images of a batch.

    A batch norm of weights is allowed: torch standardises weights so (BiT, NFNet), and they are constants.
    """
    of_weights = independent_of_values(model.graph) | {tensor.name for tensor in model.graph.initializer}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    version = model.opset_import[0].version
    for node in model.graph.node:
        called = f"{path}: the {node.op_type} {node.name or node.output[0]!r}"
        if (
            node.op_type == "BatchNormalization"
            and _trains(node, version)
            and node.input[0] not in of_weights
        ):
            raise CheckpointError(
                f"{called} is in training mode, so the answer for an image depends on the others beside it."
                " Call model.eval() and export again."
            )
        if node.op_type == "Dropout" and _drops(node, constants):
            raise CheckpointError(
                f"{called} is in training mode, so every run gives another answer. Call model.eval() and"
                " export again."
            )
        if node.op_type in RANDOM:
            raise CheckpointError(
                f"{called} draws random numbers, so every run gives another answer. Leave it out of the"
                " network that is exported."
            )


def _trains(node: onnx.NodeProto, version: int) -> bool:
    """Whether a batch norm takes the statistics of the batch: until opset 13, if it gives them as outputs."""
    if version >= MODE_IS_SAID:
        return bool(attribute(node, "training_mode", 0))
    return sum(map(bool, node.output)) > 1


def _drops(node: onnx.NodeProto, constants: dict[str, NDArray[np.generic]]) -> bool:
    """Whether a Dropout drops values: since opset 12 its third input says so."""
    ratio, training = (constants.get(node.input[slot]) if len(node.input) > slot else None for slot in (1, 2))
    return training is not None and bool(training.any()) and (ratio is None or bool(ratio.any()))
