"""Each operator in torch: its values are onnxruntime's, its gradient is their slope."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.differentiable.torch_kernels import kernel_of
from calibration.errors import ModelError
from calibration.onnx_session import open_model

Array = NDArray[Any]
GRID = 0.02
"""Inputs lie halfway between multiples of it, so that no finite difference crosses a kink."""
STEP = 0.004


def _values(shape: tuple[int, ...], seed: int = 0, low: float = -2) -> Array:
    """Different numbers, float32, in random order."""
    count = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(count)
    return ((order + 0.5) * GRID + low).astype(np.float32).reshape(shape)


def _onnxruntime(
    node: onnx.NodeProto, given: Mapping[str, Array], opset: int
) -> Callable[[Array], list[Array]]:
    """The node as a function of its first input; the other inputs are constants."""
    x = node.input[0]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "one",
        [value(x, onnx.TensorProto.FLOAT, list(given[x].shape))],
        [value(name, onnx.TensorProto.FLOAT, None) for name in node.output],
        [numpy_helper.from_array(array, name) for name, array in given.items() if name != x],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = open_model(model.SerializeToString())
    return lambda array: [np.asarray(one) for one in session.run(None, {x: array})]


def check(
    kind: str,
    given: Mapping[str, Array],
    opset: int = 17,
    outputs: int = 1,
    **attributes: Any,  # noqa: ANN401 -- whatever an ONNX attribute takes
) -> None:
    """Values and slope; the node reads `given` in its order, "" leaves an input out."""
    names = [name if array is not None else "" for name, array in given.items()]
    node = helper.make_node(kind, names, [f"y{i}" for i in range(outputs)], name="the node", **attributes)
    arrays = {name: array for name, array in given.items() if array is not None}
    reference = _onnxruntime(node, arrays, opset)
    x = arrays[names[0]]
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    rest = [None if not name else torch.from_numpy(arrays[name].copy()) for name in names[1:]]
    found = kernel_of(node)(node, [tensor, *rest])
    results = found if isinstance(found, tuple) else (found,)
    expected = reference(x)
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other, rtol=1e-4, atol=1e-5)
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=one.shape).astype(np.float32) for one in expected]
    direction = rng.choice([-1.0, 1.0], size=x.shape).astype(np.float32)
    total = sum(
        ((one * torch.from_numpy(w)).sum() for one, w in zip(results, weights, strict=True)), torch.zeros(())
    )
    (gradient,) = torch.autograd.grad(total, tensor, allow_unused=True)
    slope = 0.0 if gradient is None else float((gradient.numpy() * direction).sum())

    def at(step: float) -> float:
        given = reference(x + np.float32(step) * direction)
        return float(sum((one.astype(np.float64) * w).sum() for one, w in zip(given, weights, strict=True)))

    measured = (at(STEP) - at(-STEP)) / (2 * STEP)
    scale = 1 + max(abs(float(w.sum())) for w in weights) + np.sqrt(x.size)
    assert abs(slope - measured) < 2e-2 * scale


FUNCTIONS: dict[str, dict[str, Any]] = {
    "Abs": {}, "Ceil": {}, "Celu": {"alpha": 0.7}, "Elu": {"alpha": 0.5}, "Erf": {}, "Exp": {}, "Floor": {},
    "HardSigmoid": {"alpha": 0.25, "beta": 0.4}, "HardSwish": {}, "LeakyRelu": {"alpha": 0.2}, "Neg": {},
    "Relu": {}, "Round": {}, "Selu": {}, "Sigmoid": {}, "Sign": {}, "Softplus": {}, "Softsign": {},
    "Tanh": {}, "ThresholdedRelu": {"alpha": 0.6}, "Identity": {}, "Softmax": {"axis": 1},
    "LogSoftmax": {"axis": 1},
}  # fmt: skip


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_of_numbers(kind: str) -> None:
    check(kind, {"x": _values((2, 5, 4, 5))}, **FUNCTIONS[kind])


@pytest.mark.parametrize("kind", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(kind: str) -> None:
    check(kind, {"x": _values((2, 5, 4), low=0.5)})


def test_functions_of_newer_opsets() -> None:
    x = {"x": _values((2, 5, 4, 5))}
    check("Mish", x, opset=18)
    check("Gelu", x, opset=20)
    check("Gelu", x, opset=20, approximate="tanh")


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu", "Pow"])
def test_functions_of_two(kind: str) -> None:
    """A number a channel, as gates and norms have it."""
    other = np.array([0.5, 2, 1.25, 3, 1], np.float32).reshape(5, 1, 1)
    check(kind, {"x": _values((2, 5, 4, 5), low=0.1 if kind == "Pow" else -2), "other": other})


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-0.5, None), (None, 1.0), (None, None)])
def test_clips(low: float | None, high: float | None) -> None:
    bounds = {
        name: None if v is None else np.array(v, np.float32) for name, v in (("low", low), ("high", high))
    }
    check("Clip", {"x": _values((2, 5, 5, 5)), **bounds})  # type: ignore[dict-item]


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
pads = st.tuples(*[st.integers(0, 2)] * 4)


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)),
    pairs,
    pairs,
    pairs,
    pads,
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_convolutions(
    channels: tuple[int, int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
    biased: bool,
) -> None:
    (groups, ins, outs), rng = channels, np.random.default_rng(0)
    weight = rng.normal(size=(groups * outs, ins, *kernel)).astype(np.float32)
    bias = {"b": rng.normal(size=groups * outs).astype(np.float32)} if biased else {}
    x = _values((1, groups * ins, 7, 8))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "pads": pads, "group": groups}
    check("Conv", {"x": x, "w": weight, **bias}, **attributes)


@given(st.integers(1, 2), pairs, st.integers(1, 3), st.tuples(*[st.integers(0, 1)] * 4), st.booleans())
@settings(max_examples=25, deadline=None)
def test_transposed_convolutions(
    groups: int, kernel: tuple[int, int], stride: int, pads: tuple[int, int, int, int], more: bool
) -> None:
    assume(min(kernel) > max(pads))
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(groups * 2, 3, *kernel)).astype(np.float32)
    given = {"x": _values((1, groups * 2, 4, 5)), "w": weight, "b": np.ones(groups * 3, np.float32)}
    extra = [stride - 1 if more else 0] * 2
    attributes: dict[str, Any] = {
        "strides": [stride, stride],
        "pads": pads,
        "group": groups,
        "output_padding": extra,
    }
    check("ConvTranspose", given, **attributes)


@given(st.sampled_from(["MaxPool", "AveragePool"]), pairs, pairs, pads, st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_pools(
    kind: str,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    ceil: bool,
    counted: bool,
) -> None:
    assume(all(pad < size for pad, size in zip(pads, (*kernel, *kernel), strict=True)))
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": pads,
        "ceil_mode": int(ceil),
    }
    more = {"count_include_pad": int(counted)} if kind == "AveragePool" else {}
    check(kind, {"x": _values((1, 2, 7, 8))}, **attributes, **more)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
def test_pools_of_whole_images(kind: str) -> None:
    check(kind, {"x": _values((2, 3, 4, 5))})


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions_with_axes_as_attribute_and_as_input(kind: str, keep: int) -> None:
    x = {"x": _values((2, 3, 4, 5))}
    check(kind, x, keepdims=keep, axes=[2, -1])
    check(kind, {**x, "axes": np.array([2, 3])}, opset=18, keepdims=keep)
    check(kind, x, keepdims=keep)


def test_matrix_products_and_norms() -> None:
    rng = np.random.default_rng(0)
    x, weight = _values((3, 8)), rng.normal(size=(5, 8)).astype(np.float32)
    check("Gemm", {"x": x, "w": weight, "b": np.ones(5, np.float32)}, transB=1, alpha=0.5, beta=2.0)
    check("Gemm", {"x": _values((8, 3)), "w": weight.T.copy()}, transA=1)
    check("MatMul", {"x": x, "w": weight.T.copy()})
    numbers = {
        name: rng.uniform(0.5, 2, 4).astype(np.float32) for name in ("scale", "bias", "mean", "variance")
    }
    check("BatchNormalization", {"x": _values((2, 4, 3, 3)), **numbers}, epsilon=1e-3)


def test_moved_values() -> None:
    x = _values((2, 8, 4, 3))
    check("Transpose", {"x": x}, perm=[0, 2, 3, 1])
    check("Flatten", {"x": x}, axis=2)
    check("Concat", {"x": x, "other": x[:, :3].copy()}, axis=-3)
    check("Split", {"x": x, "sizes": np.array([5, 3])}, outputs=2, axis=1)
    check("Split", {"x": x}, opset=18, outputs=3, axis=1, num_outputs=3)
    check("Reshape", {"x": x, "shape": np.array([0, 2, -1, 3])})
    check("Squeeze", {"x": _values((2, 3, 1, 1)), "axes": np.array([2, -1])})
    check("Unsqueeze", {"x": _values((2, 3)), "axes": np.array([-1, 0])})
    check("Expand", {"x": _values((2, 3, 1)), "shape": np.array([3, 4])})
    check("Gather", {"x": x, "index": np.array([[7, -8], [2, 2]])}, axis=1)
    for mode in ("DCR", "CRD"):
        check("DepthToSpace", {"x": x}, blocksize=2, mode=mode)
    check("SpaceToDepth", {"x": _values((2, 3, 4, 6))}, blocksize=2)
    ends = {"starts": np.array([-1, 0]), "ends": np.array([-100, 3]), "axes": np.array([1, 2])}
    check("Slice", {"x": x, **ends, "steps": np.array([-2, 1])})


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_padded_images(mode: str) -> None:
    given = {"x": _values((2, 3, 4, 5)), "pads": np.array([0, 0, 1, 2, 0, 0, 0, 3])}
    check("Pad", given | ({"value": np.array(1.5, np.float32)} if mode == "constant" else {}), mode=mode)


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_resized_images(mode: str, coordinates: str) -> None:
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    given = {"x": _values((1, 2, 4, 5)), "": None}
    scales = np.array([1, 1, 2, 1.5], np.float32)
    check("Resize", given | {"scales": scales}, **attributes)  # type: ignore[arg-type]
    x = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **attributes)
    arrays = {"x": _values((1, 2, 4, 5)), "sizes": np.array([1, 2, 7, 3])}
    inputs = [torch.from_numpy(arrays["x"]), None, None, torch.from_numpy(arrays["sizes"])]
    found = kernel_of(x)(x, inputs)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found, _onnxruntime(x, arrays, 17)(arrays["x"])[0], atol=1e-5)


def test_what_has_no_gradient_is_named() -> None:
    with pytest.raises(ModelError, match="the node is a TopK, which has no gradient here"):
        kernel_of(helper.make_node("TopK", ["x", "k"], ["y"], name="the node"))
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="the node", auto_pad="SAME_UPPER")
    with pytest.raises(ModelError, match=r"the node \(Conv\) has auto_pad, which has no gradient here"):
        kernel_of(node)(node, [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3)])
