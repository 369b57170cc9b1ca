"""Generates the C table of steps: which kernels the runtime calls, in which order, with which addresses."""

from collections.abc import Sequence
from itertools import pairwise

from targets.runtime.preprocess import Preprocessing
from targets.tvm import sharing
from targets.tvm.floats.calls import FloatCall
from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import inner_step
from targets.tvm.kernels.winograd import WinogradKernel
from targets.tvm.layout import Layout
from targets.tvm.program import Fill, Kernel, Program, Step

_PARAMETERS = (
    "(const uint8_t *x, const uint8_t *w, const uint8_t *p, const uint8_t *r, uint8_t *y, int64_t begin, "
    "int64_t end)"
)


_PIECE = 4096
"""Dot instructions that a thread takes at a time: about a microsecond, ten times the cost of asking."""
_PIECES = 16
"""A step with fewer of them is divided into equal shares at once."""


def kernel_names(program: Program) -> dict[Kernel, str]:
    """A C symbol for each different kernel; equal kernels share one."""
    kernels = (step.kernel for step in program.steps)
    different = dict.fromkeys(k for k in kernels if not isinstance(k, FloatCall))
    return {kernel: f"edgec_kernel_{i}" for i, kernel in enumerate(different)}


def _wrappers(program: Program) -> dict[FloatCall, str]:
    """A C symbol for each call of a float function."""
    calls = dict.fromkeys(step.kernel for step in program.steps if isinstance(step.kernel, FloatCall))
    return {call: f"float_call_{i}" for i, call in enumerate(calls)}


def source(program: Program) -> str:
    """C source that defines what engine.h declares as generated."""
    kernels, wrappers = kernel_names(program), _wrappers(program)
    names: dict[Kernel | FloatCall, str] = dict([*kernels.items(), *wrappers.items()])
    pieces = [_piece(step, program.isa) for step in program.steps]
    edges = [_edge(*both) for both in pairwise(zip(program.steps, pieces, strict=True))] + [sharing.ALL]
    rows = [_row(*each, names) for each in zip(program.steps, pieces, edges, strict=True)]
    height, width, channels = program.image
    numbers = {
        "step_count": len(rows),
        "arena_size": program.arena,
        "logits_offset": program.logits,
        "constants_size": len(program.constants),
        "height": height,
        "width": width,
        "channels": channels,
        "classes": program.classes,
        "output_pixels": program.output_pixels,
    }
    fields = ", ".join(f".{name} = {value}" for name, value in numbers.items())
    return "\n".join(
        [
            '#include "engine.h"',
            *(f"void {name}{_PARAMETERS};" for name in kernels.values()),
            *(_wrapper(call, name) for call, name in wrappers.items()),
            "static const edgec_step steps[] = {",
            *(f"  {row}," for row in rows),
            "};",
            f"const edgec_program edgec_generated = {{.steps = steps, {fields}}};",
            "",
        ]
    )


def fitting_source(fitting: Preprocessing) -> str:
    """C source that defines what fit.h declares as generated: how the program fits pictures."""
    border = fitting.border if len(fitting.border) > 1 else fitting.border * fitting.channels
    sizes = f"{fitting.height}, {fitting.width}, {fitting.channels}"
    rest = f"FIT_{fitting.fit.upper()}, {fitting.resize}, {{{', '.join(map(str, border))}}}"
    return f'#include "fit.h"\nconst edgec_fitting edgec_pictures = {{{sizes}, {rest}}};\n'


def _wrapper(call: FloatCall, name: str) -> str:
    """A kernel that calls a float function with the addresses it needs."""
    types = ", ".join(["void *"] * len(call.pointers))
    arguments = ", ".join(f"(void *)({p.base} + {p.offset})" for p in call.pointers)
    unused = "(void)x, (void)w, (void)p, (void)r, (void)y, (void)begin, (void)end;"
    return (
        f"void {call.symbol}({types});\n"
        f"static void {name}{_PARAMETERS} {{ {unused} {call.symbol}({arguments}); }}"
    )


def _row(step: Step, piece: int, edge: int, names: dict[Kernel | FloatCall, str]) -> str:
    pitch = sharing.pitch(step) if edge > 0 else 0
    numbers = (step.kernel.items, piece, edge, pitch, step.x, step.r, step.y, step.w, step.p)
    return f"{{{_string(step.node)}, {names[step.kernel]}, {_list(numbers)}, {{{_fill(step.fill)}}}}}"


def _piece(step: Step, isa: Isa) -> int:
    """Work items that a thread takes at a time; 0 where it is to take its share at once."""
    piece = _PIECE * inner_step(isa).products * isa.lanes
    products, least = step.macs, 1
    if isinstance(step.kernel, WinogradKernel):
        products, least = step.kernel.macs, step.kernel.pieces.least
    return max(least, step.kernel.items * piece // products) if products >= _PIECES * piece else 0


def _edge(now: tuple[Step, int], following: tuple[Step, int]) -> int:
    """Items at each end of a share that other threads wait for. With pieces, all threads wait for all."""
    (step, piece), (after, next_piece) = now, following
    return sharing.ALL if piece or next_piece else sharing.edge(step, after)


def _fill(fill: Fill | None) -> str:
    if fill is None:
        return "0"
    layout = fill.layout
    stride, end = layout.row, layout.width * layout.pixel
    gap = layout.side * layout.pixel
    first, size = (layout.origin, stride) if fill.whole else (layout.origin + end, gap)
    last = first + (layout.height - 1) * stride
    trail = layout.size - last if fill.whole else gap + layout.bottom * stride
    trail -= trail % _period(layout, fill)  # whole pixels: more would be written behind the tensor
    return _list(
        (
            *(fill.address, layout.origin, stride, first, size, layout.height - 1, last, trail),
            *(fill.pattern, _period(layout, fill)),
        )
    )


def _period(layout: Layout, fill: Fill) -> int:
    return layout.pixel if fill.varies else 1


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _string(text: str) -> str:
    """A C string literal; node names come from the model file."""
    kept = "".join(c if (c.isascii() and c.isalnum()) or c in " ./_:-" else "_" for c in text)
    return f'"{kept}"'
