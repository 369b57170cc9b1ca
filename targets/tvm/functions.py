"""Functions of one quantised tensor: any chain of operators becomes a table of 256 numbers.

A stored value stands for one real number, so the result of an elementwise operator is known when the engine
is built. HardSwish is x * clip(x + 3, 0, 6) / 6 or one node, GELU is Div, Erf, Add, Mul, Mul: each node is
applied to the 256 numbers, and the next QuantizeLinear rounds the results.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from calibration.pointwise import FUNCTIONS, TRANSCENDENTAL
from targets.errors import EngineError
from targets.tvm.bounded_read import label
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.element_by_element import Lookup
from targets.tvm.tensors import Bytes, Floats
from targets.tvm.values import Constant, Epilogue, Function, Pending, Quantized, Value


def numbers(x: Quantized) -> Floats:
    """The real numbers of the 256 stored values, as DequantizeLinear computes them."""
    steps = np.arange(256, dtype=np.int32) - x.tensor.zero
    found: Floats = steps.astype(np.float32) * np.float32(x.scale)
    return found


def read(node: onnx.NodeProto, operands: Mapping[str, Value]) -> Pending | None:
    """Return the value of a node that is a function of one quantised tensor; None for others."""
    source = _only_source(operands) if node.op_type in FUNCTIONS else None
    if source is None:
        return None
    rank = 2 if source.flat else 4
    feeds = {name: _feed(value, rank) for name, value in operands.items()}
    if any(value is None for value in feeds.values()):
        return None
    found = _evaluate(node, {name: value for name, value in feeds.items() if value is not None})
    if found.shape != (256,) or np.isnan(found).any():
        return None
    return of_one_tensor(label(node), source, found)


def of_one_tensor(node: str, source: Quantized, values: Floats) -> Pending:
    """A function with these values, to be rounded to a grid."""
    tensor = source.whole(node)

    def finish(end: Epilogue) -> Operator:
        return Lookup(node, tensor, end.output, rounded(values, end.scale, end.output.zero))

    return Pending(node, source.shape, finish, flat=source.flat, function=Function(source, values))


def rounded(values: Floats, scale: float, zero: int) -> Bytes:
    """The table of a function: its values rounded as QuantizeLinear does it."""
    steps = np.rint(values / np.float32(scale)).astype(np.float64)
    table: Bytes = np.clip(steps + zero, 0, 255).astype(np.uint8)
    return table


def _only_source(operands: Mapping[str, Value]) -> Quantized | None:
    """The quantised tensor that all operands are functions of, or constants."""
    found: list[Quantized] = []
    for value in operands.values():
        match value:
            case Quantized():
                found.append(value)
            case Pending(function=Function(source=source), flat=flat) if flat == source.flat:
                found.append(source)
            case Constant():
                pass
            case _:
                return None
    same = {(x.tensor.name, x.tensor.zero_point, x.scale, x.stride, x.flat) for x in found}
    plain = len(same) == 1 and len(found[0].tensor.zero_point) == 1 and not found[0].tensor.wide
    return found[0] if plain else None


def _feed(value: Value, rank: int) -> NDArray[np.generic] | None:
    """An operand's 256 numbers, or its single one; None if it has neither."""
    match value:
        case Constant(value=one) if one.size == 1 and one.ndim <= rank:
            number: NDArray[np.generic] = one.reshape(())
            return number
        case Quantized():
            return numbers(value)
        case Pending(function=Function(values=values)):
            return values
    return None


def _evaluate(node: onnx.NodeProto, feeds: dict[str, NDArray[np.generic]]) -> Floats:
    # Approximated functions in float64, then rounded; exact ones in float32, as all implementations do.
    kind = np.float64 if node.op_type in TRANSCENDENTAL else np.float32
    given = {n: v.astype(kind) if v.dtype.kind == "f" else v for n, v in feeds.items()}
    try:
        with np.errstate(all="ignore"):
            (found,) = ReferenceEvaluator(node).run(None, given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise EngineError(f"{label(node)} cannot be computed: {error}") from error
    result: Floats = np.asarray(found).astype(np.float32)
    return result
