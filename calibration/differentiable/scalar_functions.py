"""Elementwise functions."""

from collections.abc import Callable
from functools import reduce

import onnx
import torch
from torch import Tensor
from torch.nn import functional

from calibration.differentiable.kernel import Inputs, Kernel, first, optional, present
from calibration.onnx_graph import attribute

_INFINITY = float("inf")


def _of_one(function: Callable[[Tensor], Tensor]) -> Kernel:
    return lambda _, inputs: function(first(inputs))


def _of_all(function: Callable[[Tensor, Tensor], Tensor]) -> Kernel:
    return lambda _, inputs: reduce(function, present(inputs))


def _with(function: Callable[..., Tensor], **defaults: float) -> Kernel:
    """A function whose constants are the node's attributes of the same names, or these defaults."""

    def kernel(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
        constants = {name: attribute(node, name, value) for name, value in defaults.items()}
        return function(first(inputs), **constants)

    return kernel


def _clip(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    bounds = [
        float(attribute(node, name, default)) if (given := optional(inputs, slot)) is None else float(given)
        for slot, name, default in ((1, "min", -_INFINITY), (2, "max", _INFINITY))
    ]
    return first(inputs).clamp(*bounds)


def _gelu(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    kind = attribute(node, "approximate", b"none").decode()
    return functional.gelu(first(inputs), approximate=kind)


def _softmax(node: onnx.NodeProto, inputs: Inputs) -> Tensor:
    return first(inputs).softmax(attribute(node, "axis", -1))


def _celu(x: Tensor, alpha: float) -> Tensor:
    return functional.celu(x, alpha)


def _leaky_relu(x: Tensor, alpha: float) -> Tensor:
    return functional.leaky_relu(x, alpha)


def _elu(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x > 0, x, alpha * torch.expm1(x.clamp_max(0)))


def _selu(x: Tensor, alpha: float, gamma: float) -> Tensor:
    return gamma * _elu(x, alpha)


KERNELS: dict[str, Kernel] = {
    "Abs": _of_one(torch.abs),
    "Add": _of_all(torch.add),
    "Cast": _of_one(lambda x: x.float() if x.dtype == torch.uint8 else x),
    "Ceil": _of_one(torch.ceil),
    "Celu": _with(_celu, alpha=1.0),
    "Clip": _clip,
    "Div": _of_all(torch.div),
    "Elu": _with(_elu, alpha=1.0),
    "Erf": _of_one(torch.erf),
    "Exp": _of_one(torch.exp),
    "Floor": _of_one(torch.floor),
    "Gelu": _gelu,
    "HardSigmoid": _with(lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1), alpha=0.2, beta=0.5),
    "HardSwish": _of_one(functional.hardswish),
    "LeakyRelu": _with(_leaky_relu, alpha=0.01),
    "Log": _of_one(torch.log),
    "LogSoftmax": lambda node, inputs: first(inputs).log_softmax(attribute(node, "axis", -1)),
    "Max": _of_all(torch.maximum),
    "Min": _of_all(torch.minimum),
    "Mish": _of_one(functional.mish),
    "Mul": _of_all(torch.mul),
    "Neg": _of_one(torch.neg),
    "PRelu": lambda _, inputs: torch.where(
        present(inputs)[0] > 0, present(inputs)[0], torch.mul(*present(inputs))
    ),
    "Pow": _of_all(torch.pow),
    "Reciprocal": _of_one(torch.reciprocal),
    "Relu": _of_one(torch.relu),
    "Round": _of_one(torch.round),
    "Selu": _with(_selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "Sigmoid": _of_one(torch.sigmoid),
    "Sign": _of_one(torch.sign),
    "Softmax": _softmax,
    "Softplus": _of_one(functional.softplus),
    "Softsign": _of_one(functional.softsign),
    "Sqrt": _of_one(torch.sqrt),
    "Sub": _of_all(torch.sub),
    "Tanh": _of_one(torch.tanh),
    "ThresholdedRelu": _with(lambda x, alpha: torch.where(x > alpha, x, torch.zeros_like(x)), alpha=1.0),
}
