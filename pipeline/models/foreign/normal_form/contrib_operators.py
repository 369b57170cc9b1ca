"""Rewrites float operators of onnxruntime's own domain, which it writes when it optimises a model.

They are defined in onnxruntime's docs/ContribOperators.md by standard operators. Those on integers are in
`quantised/integer_operators.py`.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper, parser

from calibration.onnx_graph import attribute, set_attribute

CONTRIB = "com.microsoft"
CLIP_HAS_INPUTS = 11
HALVED = """o = Constant <value_float = 1.0> () p = Add (e, o) t = Mul (x, p)
    h = Constant <value_float = 0.5> () y = Mul (t, h)"""
ERF = f"r = Constant <value_float = 0.70710678> () s = Mul (x, r) e = Erf (s) {HALVED}"
TANH = f"""q = Mul (x, x) c = Constant <value_float = 0.0356774081> () k = Mul (q, c)
    l = Constant <value_float = 0.79788456> () m = Add (k, l) n = Mul (m, x) e = Tanh (n) {HALVED}"""
DEFINED = {
    ("Gelu", 1): f"Gelu (x) => (y) {{ {ERF} }}",
    ("BiasGelu", 2): f"BiasGelu (a, b) => (y) {{ x = Add (a, b) {ERF} }}",
    ("FastGelu", 1): f"FastGelu (x) => (y) {{ {TANH} }}",
    ("FastGelu", 2): f"FastGelu (a, b) => (y) {{ x = Add (a, b) {TANH} }}",
    ("QuickGelu", 1): """QuickGelu <alpha> (x) => (y) {
        a = Constant <value_float: float = @alpha> () s = Mul (x, a) g = Sigmoid (s) y = Mul (x, g) }""",
}
"""Definitions by standard operators: by operator and number of inputs."""
ALPHA = 1.702
"""QuickGelu's default alpha, which the inliner does not know."""
ACTIVATIONS = {
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh"), ()),
}
"""Activations at the end of fused operators, with the order of their parameters."""


def write_contrib_as_standard(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without the operators above; `model` is modified. Others of the domain stay."""
    if not any(node.domain == CONTRIB for node in model.graph.node):
        return model
    nodes = [new for node in model.graph.node for new in _written(model, node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    called = {(node.op_type, len(node.input)) for node in nodes if node.domain == CONTRIB}
    version = model.opset_import[0].version
    for operator, inputs in sorted(called & set(DEFINED)):
        head = f'<domain: "{CONTRIB}_{inputs}", opset_import: ["": {version}]>'
        model.functions.append(parser.parse_function(f"{head} {DEFINED[operator, inputs]}"))
        for node in model.graph.node:
            if (node.domain, node.op_type, len(node.input)) == (CONTRIB, operator, inputs):
                if operator == "QuickGelu":
                    set_attribute(node, "alpha", float(attribute(node, "alpha", ALPHA)))
                node.domain = f"{CONTRIB}_{inputs}"
        model.opset_import.append(helper.make_opsetid(f"{CONTRIB}_{inputs}", 1))
    return inliner.inline_local_functions(model) if model.functions else model


def _written(model: onnx.ModelProto, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    if node.domain == CONTRIB and node.op_type in ("FusedConv", "FusedGemm"):
        if attribute(node, "activation", b"Relu").decode() in ACTIVATIONS:
            yield from _fused(model, node)
            return
    elif node.domain == CONTRIB and node.op_type in ("FusedMatMul", "TransposeMatMul"):
        turned = _turned(model, node)
        if turned is not None:
            yield from turned
            return
    yield node


def _fused(model: onnx.ModelProto, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield FusedConv or FusedGemm as standard operators: layer, addition (FusedConv only), activation."""
    operator, result = node.op_type.removeprefix("Fused"), node.output[0]
    new = helper.make_node(operator, node.input[:3], [f"{result}/{operator}"], node.name)
    new.attribute.extend(one for one in node.attribute if not one.name.startswith("activation"))
    yield new
    name = new.output[0]
    if len(node.input) > len(new.input):
        yield helper.make_node("Add", [name, node.input[3]], [f"{result}/sum"])
        name = f"{result}/sum"
    end, inputs, given = attribute(node, "activation", b"").decode(), [name], {}
    if end:
        listed = attribute(node, "activation_params", None)
        apart = [attribute(node, f"activation_{word}", None) for word in ("alpha", "beta")]  # FusedGemm's
        given = dict(zip(ACTIVATIONS[end], listed or apart, strict=False))
    if end == "Clip" and model.opset_import[0].version >= CLIP_HAS_INPUTS:
        inputs += [_constant(model, f"{result}/{key}", value) for key, value in given.items()]
        given = {}
    yield helper.make_node(end or "Identity", inputs, [result], f"{node.name}/{end}", **given)


def _turned(model: onnx.ModelProto, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    """The product with a constant matrix that is transposed first, times alpha; None for others."""
    weights = next((one for one in model.graph.initializer if one.name == node.input[1]), None)
    told = [attribute(node, word, 0) for word in ("transA", "transBatchA", "transBatchB")]
    across = attribute(node, "transB", 0)
    if any(told) or (across and (weights is None or len(weights.dims) != 2)):
        return None
    result, name = node.output[0], node.input[1]
    if across and weights is not None:
        name = f"{result}/turned"
        values = np.ascontiguousarray(numpy_helper.to_array(weights).T)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    factor = _constant(model, f"{result}/alpha", attribute(node, "alpha", 1.0))
    return [
        helper.make_node("MatMul", [node.input[0], name], [f"{result}/product"], node.name),
        helper.make_node("Mul", [f"{result}/product", factor], [result], f"{node.name}/scaled"),
    ]


def _constant(model: onnx.ModelProto, name: str, value: float) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    return name
