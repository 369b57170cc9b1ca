"""Functions that an engine applies to a convolution's sums before any rounding.

With a table, a function's argument is rounded to 8 bits first, and its result again. In registers the
argument is not rounded. There are few of these functions, and every instruction set computes them alike to
the last bit. They are recognised by a chain's results for some numbers, however an exporter wrote it.
"""

from enum import StrEnum

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

Doubles = NDArray[np.float64]

PROBES: Doubles = np.linspace(-12, 12, 193)
_NEAR = 1e-5


class RegisterFunction(StrEnum):
    """A function of a sum s. gate(s) is clip(s / 6 + 1 / 2, 0, 1)."""

    HARD_SWISH = "hard swish"
    """s * gate(s)."""
    HARD_SIGMOID = "hard sigmoid"
    """gate(s)."""
    SILU = "SiLU"
    """s * sigmoid(s)."""
    SIGMOID = "sigmoid"

    @property
    def is_unbounded(self) -> bool:
        """Whether its values grow with the sum. Those of a gate do not."""
        return self in (RegisterFunction.HARD_SWISH, RegisterFunction.SILU)

    @property
    def has_exponential(self) -> bool:
        """Whether its gate is a sigmoid, and not a straight line between bounds."""
        return self in (RegisterFunction.SILU, RegisterFunction.SIGMOID)

    def of(self, s: Doubles) -> Doubles:
        """Its values, as exact as float64 is."""
        exponential = self.has_exponential
        gate = 1 / (1 + np.exp(-np.maximum(s, -700))) if exponential else np.clip(s / 6 + 0.5, 0, 1)
        return s * gate if self.is_unbounded else gate


def recognised(values: Doubles) -> RegisterFunction | None:
    """The function with these values at PROBES, if there is one."""
    return next((one for one in RegisterFunction if np.abs(one.of(PROBES) - values).max() < _NEAR), None)


def evaluated(node: onnx.NodeProto, values: dict[str, NDArray[np.generic]]) -> Doubles | None:
    """A node's result for each of PROBES, given its inputs in `values`; None if it cannot be computed."""
    given = {n: v.astype(np.float64) if v.dtype.kind == "f" else v for n, v in values.items()}
    try:
        with np.errstate(all="ignore"):
            (found,) = ReferenceEvaluator(node).run(None, given)
    except (ValueError, TypeError, RuntimeError):
        return None
    result = np.asarray(found)
    return result.astype(np.float64) if result.shape == PROBES.shape else None
