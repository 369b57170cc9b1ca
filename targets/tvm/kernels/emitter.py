"""Writing a TIR function statement by statement, unrolled and vectorised where and as the generator says."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tvm
from tvm import tirx
from tvm.ir import PointerType, PrimType
from tvm.tirx.stmt import AllocBuffer, DeclBuffer

from targets.tvm.kernels.strides import Strides

Expr = Any
"""A TIR expression; tvm has no types for mypy."""

Buffer = Any
"""A TIR buffer: a pointer seen as elements of one type."""

FLAT_ADDRESSES = "edgec.flat_addresses"
"""The attribute of a function that needs no FlattenBuffer: every buffer has one dimension and no offset."""

_LINE = 64
"""Bytes of a cache line."""
_EXTENT = 1 << 30  # TIR wants a size; the kernels are given only what they may touch


class Emitter:
    """Builds `void name(x, w, p, r, y, int64 begin, int64 end)`, plain C: no packed arguments, no runtime.

    x and r point to activations, w to packed weights, p to the requantisation parameters, y to the result;
    [begin, end) are the work items this call does. `element` is the type of the stored activations. All
    addresses are flat. `said_flat` marks the function with FLAT_ADDRESSES: long code compiles faster, and
    some to other bytes.
    """

    def __init__(self, element: str, said_flat: bool = False) -> None:
        self.element, self._said_flat = element, said_flat
        self._pointers = {name: tirx.Var(name, PointerType(PrimType("uint8"))) for name in "xwpry"}
        self.begin, self.end = tirx.Var("begin", "int64"), tirx.Var("end", "int64")
        self._blocks: list[list[Any]] = [[]]
        self.x, self.r, self.y = (self.view(name, element) for name in "xry")
        self.source = self.x
        """The operand of products: x, or parts of it gathered together."""
        self.w = self.view("w", "int8")
        self.ints, self.floats = self.view("p", "int32"), self.view("p", "float32")
        self.view_logits = self.view("y", "float32")
        self._words = dict[str, Buffer]()

    def view(self, pointer: str, dtype: str) -> Buffer:
        """See one of the pointers x, w, p, r, y as elements of `dtype`."""
        data = self._pointers[pointer]
        buffer = tirx.decl_buffer((_EXTENT,), dtype, data=data)
        self._blocks[0].append(DeclBuffer(buffer, data=data))
        return buffer

    def numbers(self, pointer: str, strides: Strides) -> Buffer:
        """See one of x, r and y as the elements of activations that lie so far apart."""
        if not strides.words:
            return {"x": self.x, "r": self.r, "y": self.y}[pointer]
        if pointer not in self._words:
            self._words[pointer] = self.view(pointer, "int16")
        return self._words[pointer]

    def registers(self, count: int, dtype: str) -> Buffer:
        """Local vectors that LLVM keeps in registers as long as every index is a constant."""
        buffer = tirx.decl_buffer((count,), dtype, scope="local", data_alignment=64)
        self._blocks[0].append(AllocBuffer(buffer))
        return buffer

    def local(self, size: int, dtype: str | None = None) -> Buffer:
        """Memory on the stack, from a cache line on, as elements of `dtype`, or of stored activations.

        TVM aligns it to 16 bytes at most: vectors would lie on two cache lines or on one as the addresses of
        a process happen to be.
        """
        dtype = dtype or self.element
        element = tvm.DataType(dtype).itemsize
        after = _LINE // element
        whole = tirx.decl_buffer((size + after,), dtype, scope="local", data_alignment=_LINE)
        self._blocks[0].append(AllocBuffer(whole))
        kind = PointerType(PrimType(dtype), "local")
        end = tirx.address_of(self.load(whole, after))
        masked = tirx.call_llvm_intrin(kind, "llvm.ptrmask.p0.i64", end, tirx.const(-_LINE, "int64"))
        data = tirx.Var("aligned", kind)
        self._blocks[0].append(tirx.Bind(data, masked))
        buffer = tirx.decl_buffer((_EXTENT,), dtype, data=data, scope="local")
        self._blocks[0].append(DeclBuffer(buffer, data=data))
        return buffer

    @contextmanager
    def loop(self, extent: Expr, begin: Expr = 0) -> Iterator[Expr]:
        """Emit a loop; yields its variable. A loop known to run once or never leaves no trace."""
        if isinstance(extent, int) and extent == 1:
            yield tirx.const(begin, "int64") if isinstance(begin, int) else begin
            return
        variable = tirx.Var("i", "int64")
        self._blocks.append([])
        yield variable
        body = _sequence(self._blocks.pop())
        if isinstance(extent, int) and extent == 0:
            return
        first, count = (tirx.const(v, "int64") if isinstance(v, int) else v for v in (begin, extent))
        self._blocks[-1].append(tirx.For(variable, first, count, tirx.ForKind.SERIAL, body))

    @contextmanager
    def items(self) -> Iterator[Expr]:
        """Emit the loop over this call's work items; yields the item."""
        with self.loop(self.end - self.begin, self.begin) as item:
            yield item

    @contextmanager
    def items_between(self, first: int, after: int) -> Iterator[Expr]:
        """Emit the loop over those of this call's work items that are in [first, after); yields the item."""
        begin = self.let(tirx.max(self.begin, tirx.const(first, "int64")))
        end = self.let(tirx.min(self.end, tirx.const(after, "int64")))
        with self.loop(tirx.max(end - begin, tirx.const(0, "int64")), begin) as item:
            yield item

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """Emit statements under a condition; without the condition if it is True."""
        if condition is True:
            yield
            return
        self._blocks.append([])
        yield
        body = _sequence(self._blocks.pop())
        self._blocks[-1].append(tirx.IfThenElse(condition, body, None))

    @contextmanager
    def repeat(self, condition: Expr) -> Iterator[None]:
        """Emit a loop that runs while a condition holds."""
        self._blocks.append([])
        yield
        body = _sequence(self._blocks.pop())
        self._blocks[-1].append(tirx.While(condition, body))

    def each(self, extent: int, written_out: bool) -> Iterator[Expr]:
        """Yield each number if the loop is unrolled, else its variable, once."""
        if written_out:
            yield from range(extent)
            return
        with self.loop(extent) as variable:
            yield variable

    def let(self, value: Expr) -> Expr:
        """Name a value so that it is computed once."""
        variable = tirx.Var("v", value.dtype if hasattr(value, "dtype") else str(value.ty))
        self._blocks[-1].append(tirx.Bind(variable, value))
        return variable

    def load(self, buffer: Buffer, offset: Expr, lanes: int = 1) -> Expr:
        """Read `lanes` consecutive elements."""
        index = offset if lanes == 1 else tirx.Ramp(_index(offset), tirx.const(1, "int64"), lanes)
        return tirx.BufferLoad(buffer, [_index(index)])

    def store(self, buffer: Buffer, offset: Expr, value: Expr, lanes: int = 1) -> None:
        """Write `lanes` consecutive elements."""
        index = offset if lanes == 1 else tirx.Ramp(_index(offset), tirx.const(1, "int64"), lanes)
        self._blocks[-1].append(tirx.BufferStore(buffer, value, [_index(index)]))

    def call(self, dtype: str, intrinsic: str, *arguments: Expr) -> Expr:
        """Call a pure LLVM intrinsic."""
        return tirx.call_llvm_pure_intrin(dtype, intrinsic, *arguments)

    def prefetch(self, buffer: Buffer, offset: Expr) -> None:
        """Ask for the cache line of an element that will be read soon. Never faults."""
        address = tirx.address_of(self.load(buffer, offset))
        read, near, data = (tirx.const(value, "int32") for value in (0, 2, 1))
        call = tirx.call_llvm_intrin("void", "llvm.prefetch.p0", address, read, near, data)
        self._blocks[-1].append(tirx.Evaluate(call))

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Close the function. calling_conv 1 tells TVM that its signature is already final."""
        (body,) = self._blocks
        parameters: Sequence[Any] = [*self._pointers.values(), self.begin, self.end]
        function = tirx.PrimFunc(parameters, _sequence(body), ret_type=None)
        said = {FLAT_ADDRESSES: True} if self._said_flat else {}
        return function.with_attr({"global_symbol": name, "tirx.noalias": True, "calling_conv": 1, **said})


def _sequence(statements: Sequence[Any]) -> Any:  # noqa: ANN401 -- a tvm Stmt
    return statements[0] if len(statements) == 1 else tirx.SeqStmt(statements)


def _index(value: Expr) -> Expr:
    return tirx.const(value, "int64") if isinstance(value, int) else value


def splat(value: Expr, lanes: int) -> Expr:
    """The same scalar in every lane."""
    return tirx.Broadcast(value, lanes)


def clamp_index(value: Expr, low: int, high: int) -> Expr:
    """An index moved into [low, high]."""
    return tvm.tirx.max(tvm.tirx.min(value, tirx.const(high, "int64")), tirx.const(low, "int64"))
