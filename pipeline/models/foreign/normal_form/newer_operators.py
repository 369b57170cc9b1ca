"""Rewrites operators of opsets after 17 in opset 17.

ONNX's own converter supports this for few operators only. The operators' schemas show the changes: attributes
became inputs, new attributes have defaults with the old meaning, and new operators are defined by older ones
(ONNX Operators.md and Changelog.md).
"""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import defs, helper, inliner, numpy_helper, shape_inference

from calibration.onnx_graph import OnnxGraph, attribute, set_attribute
from pipeline.models.foreign.normal_form.conventions import write_constants_as_weights
from pipeline.models.foreign.replaced_nodes import replace_nodes
from pipeline.models.opset import OPSET


class NotInOpset(Exception):
    """An operator or attribute that opset 17 cannot express; the message says which."""


class _GraphFacts:
    """The constants of a graph by name, and how many dimensions its tensors have."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._computed = OnnxGraph(model)
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
        known = [*inferred.value_info, *inferred.input, *inferred.output]
        shapes = {v.name: v.type.tensor_type for v in known if v.type.tensor_type.HasField("shape")}
        self._sides = {name: tensor.shape.dim for name, tensor in shapes.items()}
        self.added: list[tuple[onnx.NodeProto, onnx.NodeProto]] = []
        """Readers, and the nodes to be put in front of them."""

    def constant(self, node: onnx.NodeProto, slot: int, what: str) -> NDArray[np.generic] | None:
        """Return input `slot`; None if it is left out. Raises NotInOpset if it depends on the image."""
        if len(node.input) <= slot or not node.input[slot]:
            return None
        tensor = self._tensors.get(node.input[slot])
        found = self._computed.folded(node.input[slot]) if tensor is None else numpy_helper.to_array(tensor)
        if found is None:
            raise NotInOpset(f"{_called(node)} computes its {what}")
        return found

    def put(self, node: onnx.NodeProto, what: str, value: NDArray[np.generic]) -> str:
        """Add a constant that `node` reads, and return its name."""
        name = f"{node.output[0]}/{what}"
        self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def rank(self, node: onnx.NodeProto) -> int:
        """Return how many dimensions the first input has. Raises NotInOpset if that is not known."""
        if node.input[0] not in self._sides:
            raise NotInOpset(f"the number of dimensions that {_called(node)} reads is not known")
        return len(self._sides[node.input[0]])

    def side(self, node: onnx.NodeProto, axis: int) -> int | None:
        """Return one side of the first input; None if it is open."""
        sides = self._sides.get(node.input[0])
        if sides is None:
            return None
        return int(sides[axis].dim_value) if sides[axis].HasField("dim_value") else None

    def all_sizes(self, node: onnx.NodeProto, given: dict[int, int]) -> str:
        """Return the name of a shape: that of the first input, with the sides that are given."""
        name, rank = node.output[0], self.rank(node)
        ends = [self.put(node, f"side_{axis}", np.array([axis], np.int64)) for axis in range(rank + 1)]
        self.added += [(node, helper.make_node("Shape", [node.input[0]], [f"{name}/here"]))]
        parts = []
        for axis in range(rank):
            if axis in given:
                parts.append(self.put(node, f"size_{axis}", np.array([given[axis]], np.int64)))
                continue
            parts.append(f"{name}/here_{axis}")
            inputs = [f"{name}/here", ends[axis], ends[axis + 1]]
            self.added += [(node, helper.make_node("Slice", inputs, [parts[-1]]))]
        self.added += [(node, helper.make_node("Concat", parts, [f"{name}/sizes"], axis=0))]
        return f"{name}/sizes"


def write_in_opset_17(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with operators of opset 17 only. Raises NotInOpset."""
    version = model.opset_import[0].version
    _replace(model, "RMSNormalization", _rms_norm)
    _replace(model, "Swish", _swish)
    model = _inlined(model, version)
    write_constants_as_weights(model)
    facts = _GraphFacts(model)
    for node in model.graph.node:
        if node.domain == "":
            _write_node(node, version, facts)
    in_front = defaultdict[str, list[onnx.NodeProto]](list)
    for reader, node in facts.added:
        in_front[reader.output[0]].append(node)
    readers = {reader.output[0]: reader for reader, _ in facts.added}
    replace_nodes(model.graph, {name: [*in_front[name], reader] for name, reader in readers.items()})
    model.opset_import[0].version = OPSET
    return model


_Definition = Callable[[onnx.NodeProto, _GraphFacts], list[onnx.NodeProto]]


def _replace(model: onnx.ModelProto, operator: str, written: _Definition) -> None:
    """Put what `written` returns in the place of each node of an operator."""
    if not any(node.op_type == operator for node in model.graph.node):
        return
    facts = _GraphFacts(model)
    nodes = [
        new
        for node in model.graph.node
        for new in (written(node, facts) if node.op_type == operator else [node])
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _rms_norm(node: onnx.NodeProto, facts: _GraphFacts) -> list[onnx.NodeProto]:
    """RMSNormalization is x / sqrt(mean(x^2) + epsilon) * scale; its schema would compute the axes."""
    (x, scale), name, rank = node.input[:2], node.output[0], facts.rank(node)
    epsilon = facts.put(node, "epsilon", np.array(attribute(node, "epsilon", 1e-5), np.float32))
    axes = list(range(attribute(node, "axis", -1) % rank, rank))
    return [
        helper.make_node("Mul", [x, x], [f"{name}/squares"]),
        helper.make_node("ReduceMean", [f"{name}/squares"], [f"{name}/mean"], axes=axes),
        helper.make_node("Add", [f"{name}/mean", epsilon], [f"{name}/shifted"]),
        helper.make_node("Sqrt", [f"{name}/shifted"], [f"{name}/root"]),
        helper.make_node("Div", [x, f"{name}/root"], [f"{name}/normalised"]),
        helper.make_node("Mul", [f"{name}/normalised", scale], [name]),
    ]


def _swish(node: onnx.NodeProto, facts: _GraphFacts) -> list[onnx.NodeProto]:
    """Swish is x * sigmoid(alpha x); its schema has no default for alpha where it is left out."""
    x, name, alpha = node.input[0], node.output[0], attribute(node, "alpha", 1.0)
    gate = [
        helper.make_node("Sigmoid", [x if alpha == 1 else f"{name}/scaled"], [f"{name}/gate"]),
        helper.make_node("Mul", [x, f"{name}/gate"], [name]),
    ]
    if alpha == 1:
        return gate
    factor = facts.put(node, "alpha", np.array(alpha, np.float32))
    return [helper.make_node("Mul", [x, factor], [f"{name}/scaled"]), *gate]


def _inlined(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """Return the model with operators that opset 17 lacks replaced by the definitions in their schemas."""
    used = {node.op_type for node in model.graph.node if node.domain == ""}
    lacking = [("", name) for name in sorted(used) if defs.has(name, version) and not defs.has(name, OPSET)]
    lacking = [one for one in lacking if one[1] not in _DEFINED_BY_BRANCHES]
    lacking += [("", "GroupNormalization")] if "GroupNormalization" in used else []
    if not lacking:
        return model
    typed = shape_inference.infer_shapes(model)  # some definitions depend on types, also on those of weights
    typed.graph.value_info.extend(
        helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        for weight in typed.graph.initializer
    )
    return inliner.inline_selected_functions(typed, lacking, inline_schema_functions=True)


def _write_node(node: onnx.NodeProto, version: int, facts: _GraphFacts) -> None:
    if not defs.has(node.op_type, OPSET):
        raise NotInOpset(f"{_called(node)} is newer than opset {OPSET}")
    if defs.get_schema(node.op_type, version).since_version <= OPSET:
        return
    rule = _RULES.get(node.op_type)
    if rule is not None:
        rule(node, facts)
    _drop_defaults(node, version)
    old = defs.get_schema(node.op_type, OPSET)
    if len(node.input) > old.max_input:
        raise NotInOpset(f"{_called(node)} has {len(node.input)} inputs; opset {OPSET} knows {old.max_input}")


def _drop_defaults(node: onnx.NodeProto, version: int) -> None:
    """Drop attributes that are newer than opset 17 and have their default, which is the old meaning."""
    old = defs.get_schema(node.op_type, OPSET).attributes
    new = defs.get_schema(node.op_type, version).attributes
    kept = [given for given in node.attribute if given.name in old]
    for given in node.attribute:
        if given.name in old or given.name in _SAYS_NOTHING.get(node.op_type, ()):
            continue
        value = helper.get_attribute_value(given)
        schema = new.get(given.name)
        usual = (
            helper.get_attribute_value(schema.default_value) if schema and schema.default_value.type else None
        )
        ones = isinstance(value, list) and set(value) == {1}  # dilations have no default in the schema
        if value != usual and not ones:
            raise NotInOpset(f"{_called(node)} has {given.name} = {value!r}")
    del node.attribute[:]
    node.attribute.extend(kept)


def _take(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    """Remove an attribute and return it."""
    found = next((attribute for attribute in node.attribute if attribute.name == name), None)
    if found is not None:
        node.attribute.remove(found)
    return found


def _reduce(node: onnx.NodeProto, facts: _GraphFacts) -> None:
    """Opset 18: axes became an input; none means all axes, or no reduction with noop_with_empty_axes."""
    axes = facts.constant(node, 1, "axes")
    noop = _take(node, "noop_with_empty_axes")
    if node.op_type == "ReduceSum":
        return  # has its axes as an input since opset 13
    del node.input[1:]
    if axes is not None and axes.size:
        node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes]))
    elif noop is not None and noop.i:
        node.op_type = "Identity"
        del node.attribute[:]


def _pad(node: onnx.NodeProto, facts: _GraphFacts) -> None:
    """Opset 18: pads may be given for some axes only."""
    axes = facts.constant(node, 3, "axes")
    if axes is not None:
        rank = facts.rank(node)
        pads = facts.constant(node, 1, "pads")
        assert pads is not None  # noqa: S101 - the checker has seen that it is there
        everywhere = np.zeros((2, rank), np.int64)
        everywhere[:, [int(axis) % rank for axis in axes]] = np.reshape(pads, (2, -1))
        node.input[1] = facts.put(node, "pads", everywhere.ravel())
        del node.input[3:]


def _resize(node: onnx.NodeProto, facts: _GraphFacts) -> None:
    """Opset 18: sizes or scales may be given for some axes only; what is enlarged, antialias leaves alone."""
    axes = _take(node, "axes")
    policy = _take(node, "keep_aspect_ratio_policy")
    if policy is not None and policy.s != b"stretch":
        raise NotInOpset(f"{_called(node)} keeps the aspect ratio")
    scales = facts.constant(node, 2, "scales")
    scaled = scales is not None and scales.size > 0
    if attribute(node, "coordinate_transformation_mode", b"") == b"half_pixel_symmetric":
        if scales is not None and scaled and (scales != np.rint(scales.astype(np.float64))).any():
            raise NotInOpset(f"{_called(node)} centres what is cut off (half_pixel_symmetric)")
        set_attribute(node, "coordinate_transformation_mode", "half_pixel")  # nothing is cut off
    if scales is not None and scaled and float(scales.astype(np.float64).min()) >= 1:
        _take(node, "antialias")
    if axes is None:
        return
    rank = facts.rank(node)
    places = [axis % rank for axis in axes.ints]
    if scaled:
        everywhere = np.ones(rank, np.float32)
        everywhere[places] = scales
        node.input[2] = facts.put(node, "scales", everywhere)
        return
    sizes = facts.constant(node, 3, "sizes")
    if sizes is None:
        raise NotInOpset(f"{_called(node)} has no sizes")
    node.input[3] = facts.all_sizes(node, dict(zip(places, sizes.ravel().tolist(), strict=True)))


def _split(node: onnx.NodeProto, facts: _GraphFacts) -> None:
    """Opset 18: equal parts, of which the last may be smaller. Until then their sizes have to be given."""
    parts = len(node.output)
    whole = facts.side(node, attribute(node, "axis", 0))
    if (len(node.input) > 1 and node.input[1]) or whole is None or whole % parts == 0:
        return
    part = -(-whole // parts)
    sizes = [part] * (parts - 1) + [whole - part * (parts - 1)]
    node.input[:] = [node.input[0], facts.put(node, "sizes", np.array(sizes, np.int64))]


def _grid_sample(node: onnx.NodeProto, facts: _GraphFacts) -> None:  # noqa: ARG001 -- as the other rules
    """Opset 20: other names of the same; what is for volumes has no older form, and no images."""
    mode = _take(node, "mode")
    said = b"linear" if mode is None else mode.s
    old = {b"linear": b"bilinear", b"cubic": b"bicubic"}.get(said, said)
    node.attribute.append(helper.make_attribute("mode", old))


_Rule = Callable[[onnx.NodeProto, _GraphFacts], None]
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
_RULES: dict[str, _Rule] = {
    **{f"Reduce{name}": _reduce for name in _REDUCTIONS},
    "Pad": _pad,
    "Resize": _resize,
    "Split": _split,
    "GridSample": _grid_sample,
}


_DEFINED_BY_BRANCHES = frozenset({"AffineGrid"})
"""Operators whose definition is for images and volumes, with an If that onnxruntime does not take."""
_SAYS_NOTHING = {
    "Cast": ("saturate", "round_mode"),  # concerns 8-bit floats only
    "CastLike": ("saturate", "round_mode"),
    "Split": ("num_outputs",),  # before opset 18: as many as outputs
}


def _called(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"
