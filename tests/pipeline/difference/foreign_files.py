"""Files of the small network as other tools write them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.difference.observed import tensor_values
from pipeline.difference.real_graph import read_real_graph
from tests.pipeline.difference.small_pair import CLASSES, SIDE


def behind_normalisation(
    model: onnx.ModelProto, path: Path, *, bgr: bool = False, last: bool = False
) -> Path:
    """Write what stands behind the normalisation: float32 pictures, channels second, or last."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    front = ("real", "centred", "unit", "planes")
    kept = [node for node in cut.graph.node if node.output[0] not in front]
    del cut.graph.node[:]
    if last:
        cut.graph.node.append(helper.make_node("Transpose", ["x"], ["planes"], "turn", perm=[0, 3, 1, 2]))
    cut.graph.node.extend(kept)
    if not last:
        for node in cut.graph.node:
            node.input[:] = ["x" if name == "planes" else name for name in node.input]
    shape: list[str | int | None] = ["n", SIDE, SIDE, 3] if last else ["n", 3, SIDE, SIDE]
    del cut.graph.input[:]
    cut.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    for tensor in cut.graph.initializer:
        if bgr and tensor.name == "stem.w":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[:, ::-1].copy(), "stem.w"))
    onnx.save(cut, path)
    return path


def quantise_with_onnxruntime(path: Path, output: Path, pictures: NDArray[np.uint8]) -> None:
    """Quantise a network that takes float32 [N, C, H, W] as onnxruntime's own tool does, in Q/DQ form."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    mean, scale = np.array([120.0, 115, 105]), np.array([1 / 60, 1 / 58, 1 / 57])
    unit = ((pictures - mean) * scale).astype(np.float32).transpose(0, 3, 1, 2)

    class UnitPictures(CalibrationDataReader):  # type: ignore[misc] # it has no types
        """Gives one picture at a time."""

        def __init__(self) -> None:
            self.left = iter(unit)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            picture = next(self.left, None)
            return None if picture is None else {"x": picture[None]}

    quantize_static(
        path,
        output,
        UnitPictures(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


class _Flatbuffer:
    """Collects tensors and operators of a .tflite file."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.tensors: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]
        self.operators: list[Any] = []
        self.codes: list[str] = []

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str = "INT8",
        grid: tuple[Any, Any, int] | None = None,
        value: NDArray[Any] | None = None,
    ) -> int:
        one = self.schema.TensorT()
        one.name, one.shape, one.type = name.encode(), list(shape), getattr(self.schema.TensorType, kind)
        if grid is not None:
            one.quantization = self.schema.QuantizationParametersT()
            one.quantization.scale = np.atleast_1d(grid[0]).astype(np.float32)
            one.quantization.zeroPoint = np.atleast_1d(grid[1]).astype(np.int64)
            one.quantization.quantizedDimension = grid[2]
        if value is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            self.buffers.append(buffer)
            one.buffer = len(self.buffers) - 1
        self.tensors.append(one)
        return len(self.tensors) - 1

    def operator(self, kind: str, options: str, inputs: list[int], output: int, **fields: Any) -> int:  # noqa: ANN401 -- the schema's
        if kind not in self.codes:
            self.codes.append(kind)
        one = self.schema.OperatorT()
        one.opcodeIndex, one.inputs, one.outputs = self.codes.index(kind), inputs, [output]
        one.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        one.builtinOptions = getattr(self.schema, f"{options}T")()
        for name, value in fields.items():
            setattr(one.builtinOptions, name, value)
        self.operators.append(one)
        return output

    def write(self, path: Path, source: int, result: int) -> None:
        import flatbuffers

        graph, model = self.schema.SubGraphT(), self.schema.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [source], [result]
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, []
        for kind in self.codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
            code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 3
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))


def write_tflite(
    model: onnx.ModelProto, pictures: NDArray[np.uint8], path: Path, *, clip: float = 1.0, no_bias: str = ""
) -> Path:
    """Write the small network (without Resize) in 8 bits, as a converter to TensorFlow Lite does.

    clip: what the range of `down` is multiplied by; no_bias: a layer whose bias is left out.
    """
    values = tensor_values(read_real_graph(model), pictures)
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    made = _Flatbuffer()
    scales: dict[int, float] = {}

    def grid(name: str, factor: float = 1.0) -> tuple[float, int, int]:
        low, high = min(0.0, float(values[name].min())), max(0.0, float(values[name].max()) * factor)
        scale = (high - low) / 255
        return scale, round(-128 - low / scale), 0

    def activation(name: str, factor: float = 1.0) -> int:
        shape = values[name].shape[1:]
        last = (*shape[1:], shape[0]) if len(shape) == 3 else shape
        found = grid(name, factor)
        index = made.tensor(name, (1, *last), grid=found)
        scales[index] = found[0]
        return index

    def layer(source: int, name: str, weight: NDArray[Any]) -> list[int]:
        flat = abs(weight.reshape(len(weight), -1)).max(1) / 127
        steps = flat.reshape(-1, *([1] * (weight.ndim - 1)))
        integers = np.rint(weight / steps).astype(np.int8)
        bias_scale = flat * scales[source]
        bias = weights[f"{name}.b"] * (name != no_bias)
        rounded = np.rint(bias / bias_scale).astype(np.int32)
        zeros = np.zeros(len(flat))
        return [
            source,
            made.tensor(f"{name}.w", integers.shape, grid=(flat, zeros, 0), value=integers),
            made.tensor(f"{name}.b", rounded.shape, "INT32", (bias_scale, zeros, 0), rounded),
        ]

    def conv(
        source: int, name: str, result: str, stride: int = 1, relu: bool = True, factor: float = 1.0
    ) -> int:
        output = activation(result, factor)
        inputs = layer(source, name, weights[f"{name}.w"].transpose(0, 2, 3, 1))
        if stride == 2:  # as converters write torch's padding: a PAD in front
            shape = made.tensors[source].shape
            wide = [1, shape[1] + 2, shape[2] + 2, shape[3]]
            made.tensors.append(made.schema.TensorT())
            padded = len(made.tensors) - 1
            made.tensors[padded].__dict__.update(made.tensors[source].__dict__, shape=wide, name=b"wide")
            widths = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)
            pads = made.tensor("widths", (4, 2), "INT32", value=widths)
            inputs[0] = made.operator("PAD", "PadOptions", [source, pads], padded)
        options = {"padding": int(stride == 2), "strideH": stride, "strideW": stride}
        options |= {"dilationHFactor": 1, "dilationWFactor": 1, "fusedActivationFunction": int(relu)}
        return made.operator("CONV_2D", "Conv2DOptions", inputs, output, **options)

    source = activation("planes")
    first = conv(source, "stem", "stem.relu")
    inner = conv(first, "one", "one.relu")
    two = conv(inner, "two", "two", relu=False)
    block = made.operator(
        "ADD", "AddOptions", [two, first], activation("sum.relu"), fusedActivationFunction=1
    )
    down = conv(block, "down", "down.relu", 2, factor=clip)
    last = conv(down, "last", "last.relu", 2)
    axes = made.tensor("axes", (2,), "INT32", value=np.array([1, 2], np.int32))
    features = made.operator("MEAN", "ReducerOptions", [last, axes], activation("features"), keepDims=False)
    output = activation("logits")
    inputs = layer(features, "head", weights["head.w"])
    made.operator("FULLY_CONNECTED", "FullyConnectedOptions", inputs, output)
    assert values["logits"].shape[1] == CLASSES
    made.write(path, source, output)
    return path
