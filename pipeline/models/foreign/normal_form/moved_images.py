"""Frees the Reshapes of graphs that move the images from the front, as attention of torch does.

torch's MultiheadAttention has sequences in front: [length, images, features], then [length, images * heads,
features / heads]. Exported for a fixed number of images, such shapes do not say where the images are. They
follow from running the part of the graph in front with one image more. Where several places are left, what
reads the result decides. That all of it is right is checked afterwards, on images.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.normal_form.known_shapes import add_constant, shapes
from targets.runtime.exact.session import is_from_onnxruntime

Size = Sequence[int]


def moves_images(model: onnx.ModelProto) -> bool:
    """Whether a Transpose puts another dimension in front."""
    return any(node.op_type == "Transpose" and attribute(node, "perm", [1])[0] for node in model.graph.node)


def free_moved_reshapes(model: onnx.ModelProto, images: int) -> set[str]:
    """Write -1 for the dimension with the images into shapes of Reshapes, and return the results of these.

    images: how many the graph was exported for. Ends early where the graph does not take one more.
    """
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = readers_by_tensor(model.graph)
    freed: set[str] = set()
    for level in _levels(model.graph, set(constants)):
        names = [node.input[0] for node in level]
        try:
            before, after = (shapes(model, names, count) for count in (images, images + 1))
        except Exception as error:
            if not is_from_onnxruntime(error):
                raise
            return freed
        for node in level:
            size, larger = before[node.input[0]], after[node.input[0]]
            given = [int(side) for side in numpy_helper.to_array(constants[node.input[1]])]
            wanted = _Wanted(readers[node.output[0]], constants, len(given))
            place = _place(size, larger, given, images, wanted)
            if place is not None:
                shape = _resolved(given, size)
                shape[place] = -1
                name = f"{node.output[0]}/freed"
                node.input[1] = add_constant(model, name, np.array(shape, np.int64))
                freed.add(node.output[0])
    return freed


def _levels(graph: onnx.GraphProto, constants: set[str]) -> Iterator[list[onnx.NodeProto]]:
    """Yield Reshapes with constant shapes, those of which no other is in front first."""
    level: dict[str, int] = defaultdict(int)
    found = defaultdict[int, list[onnx.NodeProto]](list)
    for node in graph.node:
        here = max((level[name] for name in node.input), default=0)
        if node.op_type == "Reshape" and node.input[1] in constants and node.input[0] not in constants:
            found[here].append(node)
            here += 1
        level.update(dict.fromkeys(node.output, here))
    for here in sorted(found):
        yield found[here]


def _place(size: Size, larger: Size, given: Size, images: int, wanted: "_Wanted") -> int | None:
    """Return the dimension of the shape `given` with the images; None if they are not in what is reshaped.

    size, larger: of what is reshaped, for so many images and for one more.
    """
    grown = [i for i, (one, more) in enumerate(zip(size, larger, strict=True)) if one != more]
    if len(grown) != 1 or 0 in size or 0 in given[len(size) :]:
        return None
    shape = _resolved(given, size)
    each = size[grown[0]] // images
    outer = {prod(size[: grown[0]]) * part for part in range(1, each + 1) if each % part == 0}
    before = [prod(shape[:i]) for i in range(len(shape) + 1)]
    leads = [i for i, side in enumerate(shape) if before[i] in outer and side % images == 0]
    ends = [i for i, side in enumerate(shape) if before[i + 1] // images in outer and side % images == 0]
    alone = [i for i in leads if shape[i] == images]
    grows = [i for i, side in enumerate(given) if side == -1]
    places = [*wanted.among(alone), *alone, *grows, *wanted.among([*leads, *ends]), *leads, *ends]
    return places[0] if places else None


def _resolved(given: Size, size: Size) -> list[int]:
    """Return the shape with numbers for 0 and -1, for a tensor of a size."""
    shape = [size[i] if side == 0 else side for i, side in enumerate(given)]
    rest = prod(side for side in shape if side != -1)
    return [prod(size) // rest if side == -1 else side for side in shape]


@dataclass(frozen=True)
class _Wanted:
    """Where those who read a tensor want the images."""

    readers: Sequence[onnx.NodeProto]
    constants: Mapping[str, onnx.TensorProto]
    rank: int

    def among(self, places: Sequence[int]) -> list[int]:
        """Return the places that every reader accepts; first what one brings to the front."""
        fronts = [attribute(node, "perm")[0] for node in self.readers if node.op_type == "Transpose"]
        taken = {axis for node in self.readers for axis in self._taken(node)}
        return [*(place for place in fronts if place in places), *(one for one in places if one not in taken)]

    def _taken(self, node: onnx.NodeProto) -> list[int]:
        """Return the dimensions that a reader computes along, or leaves out."""
        match node.op_type:
            case "Gemm" | "MatMul":
                axes = [-1]
            case "Squeeze" if len(node.input) > 1 and node.input[1] in self.constants:
                axes = numpy_helper.to_array(self.constants[node.input[1]]).ravel().tolist()
            case "Gather" | "Softmax" | "LayerNormalization":
                axes = [attribute(node, "axis", 0 if node.op_type == "Gather" else -1)]
            case _:
                axes = attribute(node, "axes", [])
        return [axis % self.rank for axis in axes]
