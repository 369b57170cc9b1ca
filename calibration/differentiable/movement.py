"""Operators that move values: slices, pads, joins, new shapes and sizes."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor
from torch.nn import functional

from calibration.differentiable.kernel import Inputs, Kernel, first, not_known, numbers, optional, present
from calibration.onnx_graph import attribute


def padded(x: Tensor, pads: Sequence[int], value: float = 0.0, mode: str = "constant") -> Tensor:
    """Pad by ONNX's pads: all begins, then all ends, of the last axes."""
    half = len(pads) // 2
    pairs = [int(p) for axis in reversed(range(half)) for p in (pads[axis], pads[half + axis])]
    if not any(pairs):
        return x
    if mode == "constant":
        return functional.pad(x, pairs, value=value)
    while len(pairs) > 4 and not any(pairs[-2:]):
        pairs = pairs[:-2]  # torch reflects at most as many axes as an image has
    return functional.pad(x, pairs, mode={"reflect": "reflect", "edge": "replicate"}[mode])


def _pad(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, value = first(inputs), optional(inputs, 2)
    pads = numbers(node, inputs, "pads", 1)
    mode = attribute(node, "mode", b"constant").decode()
    if pads is None or mode not in ("constant", "reflect", "edge"):
        raise not_known(node, f"the mode {mode}")
    axes = numbers(node, inputs, "axes", 3)
    if axes is not None:
        given, pads = pads, [0] * (2 * x.dim())
        for at, axis in enumerate(axes):
            pads[axis % x.dim()], pads[axis % x.dim() + x.dim()] = given[at], given[at + len(axes)]
    return padded(x, pads, 0.0 if value is None else float(value), mode)


def _slice(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x = first(inputs)
    starts, ends = numbers(node, inputs, "starts", 1) or [], numbers(node, inputs, "ends", 2) or []
    axes = numbers(node, inputs, "axes", 3) or list(range(len(starts)))
    steps = numbers(node, inputs, "steps", 4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        chosen = range(x.shape[axis])[start:end:step]
        x = x.index_select(axis, torch.tensor(chosen, dtype=torch.long))
    return x


def _split(node: onnx.NodeProto, inputs: Inputs) -> tuple[Tensor, ...]:
    x, axis = first(inputs), attribute(node, "axis", 0)
    sizes = numbers(node, inputs, "split", 1)
    if sizes is None:
        parts = len(node.output)
        each = -(-x.shape[axis] // parts)
        sizes = [min(each, x.shape[axis] - each * at) for at in range(parts)]
    return torch.split(x, sizes, axis)


def _reshape(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, wanted = present(inputs)
    keeps = not attribute(node, "allowzero", 0)
    shape = [
        x.shape[at] if size == 0 and keeps else size
        for at, size in enumerate(int(value) for value in wanted.tolist())
    ]
    return x.reshape(shape)


def _flatten(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, axis = first(inputs), attribute(node, "axis", 1)
    return x.reshape(int(np.prod(x.shape[:axis], dtype=int)), -1)


def _squeeze(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, axes = first(inputs), numbers(node, inputs, "axes", 1)
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _unsqueeze(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, axes = first(inputs), numbers(node, inputs, "axes", 1) or []
    final = x.dim() + len(axes)
    for axis in sorted(axis % final for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _expand(node: onnx.NodeProto, inputs: Inputs) -> Tensor:  # noqa: ARG001 -- all is in the inputs
    x, shape = present(inputs)
    wanted = [1] * (x.dim() - len(shape)) + [int(size) for size in shape.tolist()]
    sizes = [1] * (len(wanted) - x.dim()) + list(x.shape)
    return x.expand([max(pair) for pair in zip(sizes, wanted, strict=True)])


def _depth_to_space(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, block = first(inputs), attribute(node, "blocksize")
    if attribute(node, "mode", b"DCR") == b"CRD":
        return functional.pixel_shuffle(x, block)
    n, channels, height, width = x.shape
    parts = x.reshape(n, block, block, channels // block**2, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, height * block, width * block)


def _space_to_depth(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, block = first(inputs), attribute(node, "blocksize")
    n, channels, height, width = x.shape
    parts = x.reshape(n, channels, height // block, block, width // block, block)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, height // block, width // block)


def _shape(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    sizes = list(first(inputs).shape)
    return torch.tensor(sizes[attribute(node, "start", 0) : attribute(node, "end", len(sizes))])


def _gather(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, index = present(inputs)
    axis = attribute(node, "axis", 0)
    chosen = x.index_select(axis, (index % x.shape[axis]).flatten().long())
    return chosen.reshape(*x.shape[:axis], *index.shape, *x.shape[axis % x.dim() + 1 :])


def _resize(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    """A Resize is linear and goes over rows and columns one after the other."""
    x, scales, sizes = first(inputs), optional(inputs, 2), optional(inputs, 3)
    sizes = None if sizes is not None and not sizes.numel() else sizes
    wanted = sizes if sizes is not None else scales
    if wanted is None or wanted.numel() != x.dim() or x.dim() != 4 or attribute(node, "axes") is not None:
        raise not_known(node, "sizes of another form than NCHW")
    if attribute(node, "coordinate_transformation_mode", b"") == b"tf_crop_and_resize":
        raise not_known(node, "tf_crop_and_resize")
    plain = node.SerializeToString(deterministic=True)
    down, across = (
        torch.from_numpy(_resampling(plain, x.shape[axis], float(wanted[axis]), sizes is not None))
        for axis in (2, 3)
    )
    return down @ x @ across.T


@lru_cache(maxsize=64)
def _resampling(plain: bytes, length: int, wanted: float, is_size: bool) -> np.ndarray[tuple[int, int]]:
    """float32 [rows out, rows in]: the matrix of a Resize of `length` rows, from unit vectors."""
    from calibration.onnx_session import open_model

    node = onnx.NodeProto.FromString(plain)
    ask: dict[str, np.ndarray[tuple[int]]] = (
        {"sizes": np.array([1, 1, int(wanted), length], np.int64)}
        if is_size
        else {"scales": np.array([1, 1, wanted, 1], np.float32)}
    )
    del node.input[:], node.output[:]
    node.input.extend(["x", "", "", "sizes"] if is_size else ["x", "", "scales"])
    node.output.append("y")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "resize",
        [value("x", onnx.TensorProto.FLOAT, [1, 1, length, length])],
        [value("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in ask.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    unit = np.eye(length, dtype=np.float32)[None, None]
    found = open_model(model.SerializeToString()).run(None, {"x": unit})[0]
    return np.ascontiguousarray(np.asarray(found)[0, 0])


KERNELS: dict[str, Kernel] = {
    "Concat": lambda node, inputs: torch.cat(present(inputs), attribute(node, "axis")),
    "DepthToSpace": _depth_to_space,
    "Dropout": lambda _, inputs: first(inputs),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": lambda _, inputs: first(inputs),
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": lambda node, inputs: first(inputs).permute(
        attribute(node, "perm", list(reversed(range(first(inputs).dim()))))
    ),
    "Unsqueeze": _unsqueeze,
}
