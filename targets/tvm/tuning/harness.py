"""A program that runs the candidates for one convolution."""

from collections.abc import Sequence
from pathlib import Path

from targets.errors import EngineError
from targets.runtime.zig import run_zig
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.kernels.requantise import SCALARS
from targets.tvm.kernels.split_products import excess_bounds
from targets.tvm.link import STATIC
from targets.tvm.machine_code import compile_object

_SOURCE = Path(__file__).parent / "harness.c"
_SLACK = 4096
_COLD = 4 << 20
"""Weights of more than this many bytes are not in a level 2 cache when they are needed again."""


def build(kernels: Sequence[ConvKernel], folder: Path) -> Path:
    """Link a static program with these kernels, which differ only in their tiles. Raises EngineError."""
    isa = kernels[0].isa
    objects, table, program = folder / "kernels.o", folder / "table.c", folder / "harness"
    compile_object([kernel.function(f"kernel_{i}") for i, kernel in enumerate(kernels)], isa, objects)
    table.write_text(_table(kernels))
    options = ["-target", f"{isa.triple.split('-')[0]}-linux-musl", *STATIC]
    done = run_zig(options, [table, _SOURCE, objects], program)
    if done.returncode:
        raise EngineError(f"linking the candidates failed:\n{done.stderr[-2000:]}")
    return program


def _table(kernels: Sequence[ConvKernel]) -> str:
    arguments = (
        "(const unsigned char *, const unsigned char *, const unsigned char *, const unsigned char *, "
    )
    arguments += "unsigned char *, long, long)"
    rows = [f"  {{kernel_{i}, {kernel.items}}}," for i, kernel in enumerate(kernels)]
    one = kernels[0]
    weights = one.channels * one.windows.count * one.granules * one.inner.granule
    lists = excess_bounds(one.channels // one.isa.lanes) if one.windows.split else 0
    numbers = {
        "x_size": (one.height - 1) * one.row_step + one.reach + _SLACK,
        "w_size": weights + lists,
        "w_lists": lists,
        "w_copies": max(1, _COLD // weights),
        "p_size": 4 * (2 * one.channels + SCALARS),
        "p_floats": one.channels,
        "r_size": _output_bytes(one),
        "y_size": _output_bytes(one),
    }
    return "\n".join(
        [
            *(f"void kernel_{i}{arguments};" for i in range(len(kernels))),
            f"typedef struct {{ void (*run){arguments}; long items; }} candidate;",
            "const candidate candidates[] = {",
            *rows,
            "};",
            *(f"const long {name} = {value};" for name, value in numbers.items()),
            "",
        ]
    )


def _output_bytes(k: ConvKernel) -> int:
    strides = [s for s in (k.y, k.residual) if s is not None]
    largest = max((k.height * s.row + k.width * s.pixel) * s.element for s in strides)
    return largest + 4 * k.channels + _SLACK
