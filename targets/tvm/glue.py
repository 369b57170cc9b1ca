"""The C table that tells the runtime which kernels to call, in which order, on what."""

from collections.abc import Sequence

from targets.tvm.layout import Layout
from targets.tvm.lower import Fill, Kernel, Program, Step


def kernel_names(program: Program) -> dict[Kernel, str]:
    """A C symbol for each different kernel; equal kernels share one."""
    different = dict.fromkeys(step.kernel for step in program.steps if step.kernel is not None)
    return {kernel: f"edgec_kernel_{i}" for i, kernel in enumerate(different)}


def source(program: Program) -> str:
    """C source that defines what edgec.h declares as generated."""
    names = kernel_names(program)
    rows = [_row(step, names) for step in program.steps]
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
    }
    signature = (
        "(const uint8_t *, const uint8_t *, const uint8_t *, const uint8_t *, uint8_t *, int64_t, int64_t)"
    )
    return "\n".join(
        [
            '#include "edgec.h"',
            *(f"void {name}{signature};" for name in names.values()),
            "const edgec_step edgec_steps[] = {",
            *(f"  {row}," for row in rows),
            "};",
            *(f"const int64_t edgec_{name} = {value};" for name, value in numbers.items()),
            "",
        ]
    )


def _row(step: Step, names: dict[Kernel, str]) -> str:
    kernel, items = ("0", 0) if step.kernel is None else (names[step.kernel], step.kernel.items)
    numbers = (items, step.x, step.r, step.y, step.w, step.p)
    return f"{{{_string(step.node)}, {kernel}, {_list(numbers)}, {{{_fill(step.fill)}}}}}"


def _fill(fill: Fill | None) -> str:
    if fill is None:
        return "0"
    layout = fill.layout
    stride, gap = layout.strides.row, layout.side * layout.channels
    lead = layout.size if fill.whole else layout.origin
    trail_at = layout.origin + (layout.height - 1) * stride + layout.width * layout.channels
    trail = 0 if fill.whole else gap + layout.bottom * stride
    rows = 0 if fill.whole or not gap else layout.height - 1
    first = layout.origin + layout.width * layout.channels
    return _list(
        (fill.address, lead, stride, first, gap, rows, trail_at, trail, fill.pattern, _period(layout, fill))
    )


def _period(layout: Layout, fill: Fill) -> int:
    return layout.channels if fill.varies else 1


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _string(text: str) -> str:
    """A C string literal; node names come from the model file."""
    kept = "".join(c if (c.isascii() and c.isalnum()) or c in " ./_:-" else "_" for c in text)
    return f'"{kept}"'
