"""An ONNX file from anywhere, made into the form that every later stage reads.

That form: opset 17, input `image` uint8 [N, H, W, C], Cast, Transpose, Sub, Mul, then the network with batch
norms folded into convolutions, output `logits` float32 [N, classes]; of pixels, [N, classes, height, width].
"""

from collections.abc import Callable

import onnx

from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.foreign.logits_output import drop_softmax, end_with_logits
from pipeline.models.foreign.normalisation import begin_with_pixels, take_normalisation
from pipeline.models.foreign.onnx_file import Input, read_input, read_onnx
from pipeline.models.foreign.simplify import (
    at_opset,
    drop_unused,
    folded,
    free_the_batch,
    write_reshapes_as_flatten,
)


def adopt(source: ForeignModel, dynamic_batch: bool, say: Callable[[str], None]) -> onnx.ModelProto:
    """Return the model in the form described above; `say` hears what was changed beyond that.

    Raises CheckpointError for a graph that cannot take that form.
    """
    model = at_opset(read_onnx(source.path), source.path)
    found = read_input(source.path)
    _check_shape(source, found)
    if len(model.graph.output) != 1:
        names = ", ".join(value.name for value in model.graph.output)
        raise CheckpointError(f"{source.path} has the outputs {names}; edgec needs one, the logits.")
    free_the_batch(model, found.name)
    model = folded(model, source.path)
    drop_softmax(model, say)
    write_reshapes_as_flatten(model)
    drop_unused(model)
    begin_with_pixels(model, source, take_normalisation(model, source, found), dynamic_batch)
    end_with_logits(model, source)
    onnx.checker.check_model(model, full_check=True)
    return model


def _check_shape(source: ForeignModel, found: Input) -> None:
    height, width, channels = source.input_shape
    sides = found.sides(source.layout)
    if any(there not in (None, said) for there, said in zip(sides, source.input_shape, strict=True)):
        raise CheckpointError(
            f"{source.path}: its input {found.name!r} is {found}; {description_file(source.path)} says"
            f" {source.layout} with height {height}, width {width} and {channels} channels."
        )
