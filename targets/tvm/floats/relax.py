"""From an island to TIR functions of plain pointers, and the calls that run them one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.ir import PointerType, PrimType
from tvm.ir import expr as ir
from tvm.relax.frontend.onnx import from_onnx
from tvm.s_tir import transform as blocks
from tvm.tirx import transform
from tvm.tirx.stmt import AllocBuffer, DeclBuffer

from targets.errors import EngineError
from targets.tvm.bounded_read import label
from targets.tvm.floats import mathematics
from targets.tvm.floats.float_code import llvm_ir
from targets.tvm.floats.loops import ordered
from targets.tvm.integer_graph import Island
from targets.tvm.isa import ISAS

_REFUSED = (
    *(NotImplementedError, ValueError, TypeError, KeyError, IndexError, AssertionError),
    RuntimeError,  # tvm's own errors are one too
)
"""What TVM's importer and passes raise for a graph they cannot take."""


@dataclass(frozen=True)
class Buffer:
    """Memory that the calls of an island share."""

    name: str
    size: int


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a function. `arguments` are names of buffers, constants and the island's tensors."""

    function: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FloatProgram:
    """An island as functions `void f(pointers...)` and the calls that run it, in order."""

    functions: dict[str, Any]
    calls: tuple[Call, ...]
    buffers: tuple[Buffer, ...]
    constants: dict[str, NDArray[Any]]


@cache
def program(island: Island) -> FloatProgram:
    """Lower an island. Raises EngineError naming the node that TVM cannot compile."""
    try:
        return _lower(island.model)
    except (*_REFUSED, EngineError) as error:
        raise _named(island, error) from error


def _named(island: Island, error: Exception) -> EngineError:
    """Find the node to blame: the first that cannot be lowered alone."""
    known = {v.name: v for v in (*island.model.graph.input, *island.model.graph.value_info)}
    for node in island.model.graph.node:
        graph = onnx.helper.make_graph(
            [node],
            "node",
            [known[name] for name in dict.fromkeys(node.input) if name in known],
            [known[name] for name in node.output if name in known],
            [i for i in island.model.graph.initializer if i.name in node.input],
        )
        alone = onnx.helper.make_model(
            graph, opset_imports=island.model.opset_import, ir_version=island.model.ir_version
        )
        try:
            _lower(alone)
        except (*_REFUSED, EngineError) as reason:
            return EngineError(f"{label(node)} has no integer form, and TVM cannot run it: {_short(reason)}")
    return EngineError(f"TVM cannot run {island.node} in float: {_short(error)}")


def _short(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]


def _lower(model: onnx.ModelProto) -> FloatProgram:
    mathematics.register()
    module = from_onnx(model, keep_params_in_input=False)
    for step in (
        relax.transform.DecomposeOpsForInference(),
        relax.transform.LegalizeOps(),
        relax.transform.FoldConstant(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FuseOps(fuse_opt_level=2),
        relax.transform.FuseTIR(),
        relax.transform.DeadCodeElimination(),
    ):
        module = step(module)
    graph = model.graph
    found = _Reader(module, [o.name for o in graph.output], [i.name for i in graph.input]).read()
    llvm_ir(found.functions, ISAS["avx2"], plain=True)  # raises for functions that differ between machines
    return found


class _Reader:
    """Reads the calls off Relax's main function."""

    def __init__(self, module: Any, outputs: list[str], inputs: list[str]) -> None:  # noqa: ANN401 -- an IRModule
        self.module, self.outputs = module, outputs
        self.main = module["main"]
        self.names: dict[Any, tuple[str, ...]] = {
            p: (name,) for p, name in zip(self.main.params, inputs, strict=True)
        }
        self.functions: dict[str, Any] = {}
        self.scratch: dict[str, list[int]] = {}
        self.buffers: dict[str, Buffer] = {}
        self.constants: dict[str, NDArray[Any]] = {}
        self.calls: list[Call] = []

    def read(self) -> FloatProgram:
        for block in self.main.body.blocks:
            for binding in block.bindings:
                self.names[binding.var] = self._value(binding.value)
        results = self._operand(self.main.body.body)
        self._rename(dict(zip(results, self.outputs, strict=True)), results)
        return FloatProgram(self.functions, tuple(self.calls), tuple(self.buffers.values()), self.constants)

    def _rename(self, new: dict[str, str], results: tuple[str, ...]) -> None:
        """Let the last calls write where the island's results go."""
        if any(name not in self.buffers for name in new) or len(new) != len(results):
            raise NotImplementedError("a result is an input, a constant, or given twice")
        self.calls = [
            Call(call.function, tuple(new.get(name, name) for name in call.arguments)) for call in self.calls
        ]
        for name in new:
            del self.buffers[name]

    def _value(self, value: Any) -> tuple[str, ...]:  # noqa: ANN401 -- a relax expression
        if isinstance(value, ir.Call) and value.op == tvm.ir.Op.get("relax.call_tir"):
            return self._call(value)
        return self._operand(value)

    def _operand(self, value: Any) -> tuple[str, ...]:  # noqa: ANN401 -- a relax expression
        match value:
            case ir.Tuple():
                return tuple(name for part in value.fields for name in self._operand(part))
            case ir.TupleGetItem():
                return (self._operand(value.tuple_value)[value.index],)
            case ir.GenericConst():
                name = f"constant {len(self.constants)}"
                self.constants[name] = value.value.numpy()
                return (name,)
            case ir.Var() if value in self.names:
                return self.names[value]
        raise NotImplementedError(f"{type(value).__name__} is not a call of a function of static shapes")

    def _call(self, call: Any) -> tuple[str, ...]:  # noqa: ANN401 -- a relax.Call
        function, operands = call.args[0].name_hint, self._operand(call.args[1])
        if function not in self.functions:
            self.functions[function], self.scratch[function] = _plain(self.module[call.args[0]])
        (result,) = call.ty_args
        name = f"call {len(self.calls)}"  # relax gives several variables one name
        kinds = list(result.fields) if isinstance(result, tvm.ir.TupleType) else [result]
        results = tuple(f"{name} {i}" for i in range(len(kinds)))
        scratch = tuple(f"{name} scratch {i}" for i in range(len(self.scratch[function])))
        sizes = [*(_bytes(kind) for kind in kinds), *self.scratch[function]]
        for buffer, size in zip((*results, *scratch), sizes, strict=True):
            self.buffers[buffer] = Buffer(buffer, size)
        self.calls.append(Call(function, (*operands, *results, *scratch)))
        return results


def _bytes(kind: Any) -> int:  # noqa: ANN401 -- a relax tensor type
    shape = [int(d) for d in kind.shape.values]
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(str(kind.dtype)).itemsize


def _plain(function: Any) -> tuple[Any, list[int]]:  # noqa: ANN401 -- a PrimFunc
    """Lower a function to loops; buffers and temporaries become pointers. Also returns temporaries' sizes."""
    module = tvm.IRModule({"f": ordered(function).with_attr("global_symbol", "f")})
    for step in (
        blocks.LowerInitBlock(),
        blocks.PlanAndUpdateBufferAllocationLocation(),
        blocks.ConvertBlocksToOpaque(),
        blocks.CompactBufferAllocation(),
        blocks.LowerMatchBuffer(),
        blocks.StmtSimplify(),
        blocks.LowerOpaqueBlock(),
        transform.FlattenBuffer(),
        transform.StmtSimplify(),
        transform.RemoveNoOp(),
    ):
        module = step(module)
    lowered = module["f"]
    parameters = [_pointer(p) for p in lowered.params]
    body: list[Any] = [DeclBuffer(p, data=v) for p, v in zip(lowered.params, parameters, strict=True)]
    sizes = []
    for statement in _statements(lowered.body):
        if isinstance(statement, AllocBuffer):
            parameters.append(_pointer(statement.buffer))
            sizes.append(_buffer_bytes(statement.buffer))
            body.append(DeclBuffer(statement.buffer, data=parameters[-1]))
        else:
            body.append(statement)
    return tirx.PrimFunc(parameters, tirx.SeqStmt(body), ret_type=None), sizes


def _statements(body: Any) -> Iterator[Any]:  # noqa: ANN401 -- a tvm Stmt
    if isinstance(body, tirx.SeqStmt):
        yield from body.seq
    else:
        yield body


def _pointer(buffer: Any) -> Any:  # noqa: ANN401 -- a tirx Var
    return tirx.Var(buffer.name, PointerType(PrimType(str(buffer.dtype))))


def _buffer_bytes(buffer: Any) -> int:  # noqa: ANN401 -- a tirx Buffer
    return int(np.prod([int(d) for d in buffer.shape], dtype=np.int64)) * np.dtype(str(buffer.dtype)).itemsize
