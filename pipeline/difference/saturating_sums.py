"""What a quantised graph gives where the sums of two products are kept in 16 bits, and saturate.

Programs on x86 without VNNI multiply uint8 by int8 with `vpmaddubsw`, which adds two neighbours' products in
int16 (`calibration.weight_pairs`). onnxruntime does so by default. Its logits then differ from those of the
same file on another processor, though nothing in the file is wrong.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.weight_pairs import can_saturate, neighbours
from pipeline.difference.decibels import ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.side import Array, Pictures
from targets.errors import EngineError
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from targets.tvm.operators.convolution import Conv
from targets.tvm.tensors import Int32s, Steps

LOOKED_AT = 4
"""Pictures."""
GAIN_DB, LEAST_DB = 6.0, 10.0
"""Saturating sums explain logits that they bring closer by so much, and so close. Programs compute some
layers in float, and deep networks amplify what is left: 16 dB in a MobileNetV2 with random weights."""
REMEDY = (
    "Run it with exact sums (onnxruntime: session.x64quantprecision=1) or on a processor with VNNI, or build"
    " with `nosat` in the recipe, which keeps weights from saturating."
)


@dataclass(frozen=True, eq=False)
class SaturatingConv(Conv):
    """A layer whose products are added in pairs, in 16 bits."""

    def accumulate(self, x: Steps) -> Int32s:
        """acc [N, H, W, K] with each pair of products limited to int16. They have the zero point in them."""
        total = super().accumulate(x)
        if self.is_wide or len(self.input.zero_point) > 1:  # such layers are computed in other ways
            return total
        for outputs, excess in self._excess(x):
            total[..., outputs] += excess
        return total

    def _excess(self, x: Steps) -> Iterator[tuple[NDArray[np.intp], Int32s]]:
        """Yield, for each pair of weights, the outputs that it can saturate, and by how much it does."""
        count, channels = self.weight.shape[:2]
        flat = self.weight.reshape(count, -1).astype(np.int32)
        pairs = neighbours(self.weight.shape, self.groups)
        can = can_saturate(self.weight.reshape(count, -1), pairs)
        raw = (self._padded(x) + self.input.zero_point[0]).astype(np.int32)
        each = count // self.groups
        for pair in np.flatnonzero(can.any(0)):
            for group in range(self.groups):
                mine = np.flatnonzero(can[group * each : (group + 1) * each, pair]) + group * each
                if len(mine):
                    products = [
                        self._read(raw, int(at), group * channels)[..., None] * flat[mine, at]
                        for at in pairs[pair]
                    ]
                    whole = products[0] + products[1]
                    yield mine, np.clip(whole, -(2**15), 2**15 - 1) - whole

    def _read(self, raw: Int32s, at: int, first: int) -> Int32s:
        """Return what a weight is multiplied by, [N, H, W]. `at` is its number in [C / groups, R, S]."""
        channel, row, column = np.unravel_index(at, self.weight.shape[1:])
        (sh, sw), (dh, dw) = self.window.stride, self.window.dilation
        top, left = int(row) * dh, int(column) * dw
        rows = slice(top, top + (self.output.height - 1) * sh + 1, sh)
        columns = slice(left, left + (self.output.width - 1) * sw + 1, sw)
        return raw[:, rows, columns, first + int(channel)]


def saturated(model: onnx.ModelProto, pictures: Pictures) -> tuple[Array, Array] | None:
    """Return a quantised graph's logits by its definition, and with saturating sums.

    None for a graph that the integer compiler does not read, such as one in float.
    """
    with tempfile.TemporaryDirectory(prefix="edgec-diff-") as folder:
        path = Path(folder) / "model.int8.onnx"
        onnx.save(model, path)
        try:
            graph = import_graph(path)
        except EngineError:
            return None
    layers = [
        SaturatingConv(**{one.name: getattr(op, one.name) for one in fields(op)})
        if isinstance(op, Conv)
        else op
        for op in graph.operators
    ]
    return oracle.run(graph, pictures), oracle.run(replace(graph, operators=tuple(layers)), pictures)


def explained_by_saturation(model: onnx.ModelProto, pictures: Pictures, found: Array) -> Discrepancy | None:
    """Return the finding if saturating sums make a graph's logits those that a program gave; else None.

    found: the program's logits [N, ...] of pictures uint8 [N, H, W, C].
    """
    few = pictures[:LOOKED_AT]
    both = saturated(model, few)
    if both is None:
        return None
    wanted = found[: len(few)].reshape(len(few), -1)
    before, after = (ratio_db(wanted, one.reshape(wanted.shape)) for one in both)
    if after < max(before + GAIN_DB, LEAST_DB):
        return None
    evidence = (
        "the program adds products of uint8 and int8 in pairs, in 16 bits, where they saturate, as on x86"
        " without VNNI; the file is not at fault"
    )
    return Discrepancy(FaultKind.SATURATION, "logits", evidence, before, after, REMEDY)
