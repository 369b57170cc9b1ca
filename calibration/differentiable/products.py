"""Convolutions, matrix products and norms."""

import onnx
import torch
from torch import Tensor
from torch.nn import functional

from calibration.differentiable.kernel import Inputs, Kernel, first, not_known, optional, present
from calibration.differentiable.movement import padded
from calibration.onnx_graph import attribute


def _conv(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, weight, *bias = present(inputs)
    if weight.dim() != 4:
        raise not_known(node, f"{weight.dim() - 2} spatial dimensions")
    x = padded(x, explicit_pads(node))
    strides, dilations = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
    return functional.conv2d(
        x, weight, bias[0] if bias else None, strides, 0, dilations, attribute(node, "group", 1)
    )


def _conv_transpose(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, weight, *bias = present(inputs)
    if weight.dim() != 4 or attribute(node, "output_shape") is not None:
        raise not_known(node, "an output_shape" if weight.dim() == 4 else "other than two spatial dimensions")
    top, left, bottom, right = explicit_pads(node)
    more = attribute(node, "output_padding", [0, 0])
    strides, dilations = attribute(node, "strides", [1, 1]), attribute(node, "dilations", [1, 1])
    whole = functional.conv_transpose2d(
        x, weight, bias[0] if bias else None, strides, 0, 0, attribute(node, "group", 1), dilations
    )
    whole = functional.pad(whole, (0, more[1], 0, more[0]))
    if any(more) and bias:  # the bias, which is added at the end
        beyond = torch.ones_like(whole[:1, :1])
        beyond[:, :, : whole.shape[2] - more[0], : whole.shape[3] - more[1]] = 0
        whole = whole + beyond * bias[0].reshape(-1, 1, 1)
    height, width = whole.shape[2:]
    return whole[:, :, top : height - bottom, left : width - right]


def explicit_pads(node: onnx.NodeProto) -> list[int]:
    """The pads of a two-dimensional window, all begins first. Raises ModelError where auto_pad decides."""
    if attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise not_known(node, "auto_pad")
    return list(attribute(node, "pads", [0, 0, 0, 0]))


def _gemm(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, weight, *bias = present(inputs)
    x = x.T if attribute(node, "transA", 0) else x
    weight = weight if attribute(node, "transB", 0) else weight.T
    alpha, beta = float(attribute(node, "alpha", 1.0)), float(attribute(node, "beta", 1.0))
    product: Tensor = functional.linear(x, weight) * alpha
    return product + bias[0] * beta if bias else product


def _batch_norm(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    x, scale, bias, mean, variance = present(inputs)
    epsilon = attribute(node, "epsilon", 1e-5)
    return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)


def _instance_norm(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    scale, bias = optional(inputs, 1), optional(inputs, 2)
    return functional.instance_norm(
        first(inputs), weight=scale, bias=bias, eps=attribute(node, "epsilon", 1e-5)
    )


KERNELS: dict[str, Kernel] = {
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "InstanceNormalization": _instance_norm,
    "MatMul": lambda _, inputs: torch.matmul(*present(inputs)),
}
