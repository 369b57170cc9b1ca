"""Rewrites operators that compute in integers as DequantizeLinear, a float operator and QuantizeLinear.

QLinearConv and QLinearMatMul are ONNX's; the others onnxruntime's (docs/ContribOperators.md there). All are
defined as the float operator on dequantised inputs, rounded once to the grid of the output.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import attribute, set_attribute
from pipeline.models.foreign.quantised.quantised_file import DYNAMIC
from pipeline.models.foreign.quantised.refusal import NoQdqForm

CONTRIB = "com.microsoft"
TO_8_BITS = {TensorProto.INT4: TensorProto.INT8, TensorProto.UINT4: TensorProto.UINT8}
"""Types of constants that 8 bits hold as they are."""


@dataclass(frozen=True)
class Operand:
    """Integers and their grid, by the names of tensors; `axis` counts where there are several scales."""

    integers: str
    scale: str
    zero: str
    axis: int | None = None


@dataclass(frozen=True)
class FloatForm:
    """The float operator that an integer one rounds the result of. `grid`: scale and zero point of that."""

    operator: str
    operands: tuple[Operand, ...]
    grid: tuple[str, str] | None
    dropped: tuple[str, ...] = ("channels_last",)
    """Attributes that the float operator does not have."""
    pads: tuple[int, ...] | None = None
    """Instead of the node's."""


def write_as_qdq(model: onnx.ModelProto) -> None:
    """Rewrite all integer operators of a model in place. Raises NoQdqForm naming one that cannot be."""
    writer = _OperatorWriter(model)
    nodes = [new for node in model.graph.node for new in writer.written(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    kept = [opset for opset in model.opset_import if opset.domain in {node.domain for node in nodes} | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


class _OperatorWriter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}

    def written(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        if node.op_type in DYNAMIC:
            raise NoQdqForm(
                node,
                "is of dynamic quantisation, whose scales are computed for each image; engines need them when"
                " they are built",
                "Give edgec the float network, or quantise it with onnxruntime.quantization.quantize_static.",
            )
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield self._plain(node)
            return
        form = _FORMS.get(node.op_type)
        if form is None:
            yield node
            return
        if attribute(node, "channels_last", 0):
            raise NoQdqForm(node, "has its channels last, as onnxruntime writes for itself", _OPTIMISED)
        yield from self._around(node, form(self, node))

    def _plain(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """Return a Q or DQ of the standard domain whose zero point is there, and has 8 bits."""
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.domain = ""
        kind = attribute(node, "output_dtype", 0) if node.op_type == "QuantizeLinear" else 0
        zero = node.input[2] if len(node.input) > 2 else ""
        if node.op_type == "DequantizeLinear" and node.input[0] in self.constants:
            self._widen(node.input[0])
            kind = self.types[node.input[0]]
        if zero in self.constants:
            self._widen(zero)
            kind = self.types[zero]
        elif not zero and node.op_type == "QuantizeLinear":
            scale = self.constants.get(node.input[1])
            shape = [] if scale is None else list(scale.dims)
            zeros = np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind or TensorProto.UINT8))
            new.input[:] = [*node.input[:2], self.constant(f"{node.output[0]}/zero_point", zeros)]
        if kind not in (0, *_READ):
            raise NoQdqForm(
                node,
                f"is of {TensorProto.DataType.Name(kind).lower()}, and edgec compiles integers of 8 bits",
            )
        kept = [a for a in new.attribute if a.name != "output_dtype"]
        del new.attribute[:]
        new.attribute.extend(kept)
        return new

    def _widen(self, name: str) -> None:
        """Write a constant of 4 bits as the same integers in 8."""
        tensor = self.constants[name]
        if tensor.data_type in TO_8_BITS:
            wide = TO_8_BITS[tensor.data_type]
            values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(wide))
            tensor.CopyFrom(numpy_helper.from_array(values, name))
            self.types[name] = wide

    def _around(self, node: onnx.NodeProto, form: FloatForm) -> Iterator[onnx.NodeProto]:
        names = []
        for slot, operand in enumerate(form.operands):
            name = f"{node.output[0]}/operand_{slot}"
            inputs = [operand.integers, operand.scale, *([operand.zero] if operand.zero else [])]
            yield helper.make_node("DequantizeLinear", inputs, [name], f"{name}/DQ", axis=operand.axis)
            names.append(name)
        result = f"{node.output[0]}/real" if form.grid else node.output[0]
        new = helper.make_node(
            form.operator, names, [result], node.name or f"{node.output[0]}/{node.op_type}"
        )
        new.attribute.extend(a for a in node.attribute if a.name not in form.dropped)
        if form.pads is not None:
            set_attribute(new, "pads", list(form.pads))
        yield new
        if form.grid:
            inputs = [result, *(name for name in form.grid if name)]
            yield self._plain(helper.make_node("QuantizeLinear", inputs, [node.output[0]], f"{result}/Q"))

    def constant(self, name: str, value: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> str:
        """Add a constant and return its name."""
        tensor = numpy_helper.from_array(value, name)
        self.model.graph.initializer.append(tensor)
        self.constants[name], self.types[name] = tensor, tensor.data_type
        return name

    def product(self, node: onnx.NodeProto, names: tuple[str, str], factor: float = 1.0) -> str:
        """Return the name of the scale of sums: the product of two scales. Raises NoQdqForm."""
        if not all(name in self.constants for name in names):
            raise NoQdqForm(node, "computes a scale, and engines need scales when built")
        first, second = (numpy_helper.to_array(self.constants[name]).astype(np.float64) for name in names)
        return self.constant(
            f"{node.output[0]}/sums", (first.ravel() * second.ravel() * factor).astype(np.float32)
        )

    def is_vector(self, name: str) -> bool:
        """Whether a constant has several values."""
        return name in self.constants and int(np.prod(self.constants[name].dims)) > 1


_READ = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32)
_OPTIMISED = "Take the model before onnxruntime optimised it."
_Form = Callable[[_OperatorWriter, onnx.NodeProto], FloatForm]


def _conv(writer: _OperatorWriter, node: onnx.NodeProto) -> FloatForm:
    x, xs, xz, w, ws, wz, ys, yz, *bias = node.input
    operands = [Operand(x, xs, xz), Operand(w, ws, wz, 0)]
    if bias and bias[0]:
        operands.append(Operand(bias[0], writer.product(node, (xs, ws)), "", 0))
    return FloatForm("Conv", tuple(operands), (ys, yz))


def _matmul(writer: _OperatorWriter, node: onnx.NodeProto) -> FloatForm:  # noqa: ARG001 -- as its siblings
    a, a_scale, a_zero, b, b_scale, b_zero, ys, yz = node.input
    return FloatForm("MatMul", (Operand(a, a_scale, a_zero), Operand(b, b_scale, b_zero, 1)), (ys, yz))


def _gemm(writer: _OperatorWriter, node: onnx.NodeProto) -> FloatForm:
    a, a_scale, a_zero, b, b_scale, b_zero, *rest = node.input
    bias, ys, yz = (*rest, "", "", "")[:3]
    axis = 0 if attribute(node, "transB", 0) else 1
    operands = [Operand(a, a_scale, a_zero), Operand(b, b_scale, b_zero, axis)]
    if bias:
        sums = writer.product(node, (a_scale, b_scale), attribute(node, "alpha", 1.0))
        operands.append(Operand(bias, sums, "", 0))
    return FloatForm("Gemm", tuple(operands), (ys, yz) if ys else None)


def _two(operator: str) -> _Form:
    def form(writer: _OperatorWriter, node: onnx.NodeProto) -> FloatForm:  # noqa: ARG001 -- as its siblings
        a, a_scale, a_zero, b, b_scale, b_zero, ys, yz = (*node.input, "")[:8]
        return FloatForm(operator, (Operand(a, a_scale, a_zero), Operand(b, b_scale, b_zero)), (ys, yz))

    return form


def _one(operator: str, *dropped: str) -> _Form:
    def form(writer: _OperatorWriter, node: onnx.NodeProto) -> FloatForm:  # noqa: ARG001 -- as its siblings
        x, xs, xz, ys, yz = (*node.input, "")[:5]
        return FloatForm(operator, (Operand(x, xs, xz),), (ys, yz), ("channels_last", *dropped))

    return form


def _average(writer: _OperatorWriter, node: onnx.NodeProto) -> FloatForm:
    """Return an average that divides as onnxruntime's does, by all cells of a window that counts its padding.

    ONNX's own does not count cells that a window has beyond the padding, by ceil_mode. Here they are padding.
    """
    form = _one("AveragePool")(writer, node)
    beyond = attribute(node, "ceil_mode", 0) and attribute(node, "count_include_pad", 0)
    if not beyond or attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b""):
        return form
    kernel = attribute(node, "kernel_shape", [])
    strides = attribute(node, "strides", [1] * len(kernel))
    pads = attribute(node, "pads", [0] * 2 * len(kernel))
    before, after = pads[: len(kernel)], np.array(pads[len(kernel) :]) + strides - 1
    if (after >= kernel).any():
        why = "counts its padding, in windows that may begin in it (ceil_mode)"
        raise NoQdqForm(node, why)
    return replace(form, dropped=(*form.dropped, "ceil_mode"), pads=(*before, *after.tolist()))


def _concat(writer: _OperatorWriter, node: onnx.NodeProto) -> FloatForm:  # noqa: ARG001 -- as its siblings
    ys, yz, *parts = node.input
    operands = tuple(Operand(*parts[i : i + 3]) for i in range(0, len(parts), 3))
    return FloatForm("Concat", operands, (ys, yz))


_FORMS: dict[str, _Form] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _gemm,
    "QLinearAdd": _two("Add"),
    "QLinearMul": _two("Mul"),
    "QLinearConcat": _concat,
    "QLinearGlobalAveragePool": _one("GlobalAveragePool"),
    "QLinearAveragePool": _average,
    "QLinearReduceMean": _one("ReduceMean"),
    "QLinearLeakyRelu": _one("LeakyRelu"),
    "QLinearSigmoid": _one("Sigmoid"),
    "QLinearSoftmax": _one("Softmax", "opset"),
}
