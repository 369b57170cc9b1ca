"""The instructions of an inference on ARM, by kernel and by kind of instruction.

    python -m benchmarks.arm_kernels [--models mobilenetv1] [--isa dotprod]

Needs qemu-aarch64, llvm-mc and llvm-objdump; networks are those of benchmarks.cpu_peers. The emulator counts
how often each block of instructions runs, and the program's symbols say which kernel a block belongs to. One
row a kernel, in thousands; `least` are the products of its convolutions divided by those of an instruction.
Counted is the difference between runs of one and of two images.
"""

import argparse
import re
import subprocess
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.arm_cycles import EMULATED, disassembled, placed_blocks
from benchmarks.peers.network import CASES
from benchmarks.peers.peer_build import build
from targets.errors import EngineError
from targets.runtime.preprocess import Preprocessing
from targets.runtime.zig import run_zig
from targets.tvm import glue, link
from targets.tvm.cpu_target import compile_engine
from targets.tvm.importer import import_graph
from targets.tvm.isa import ISAS, Isa
from targets.tvm.lower import lower
from targets.tvm.machine_code import compile_object
from targets.tvm.program import Program

KINDS = (
    ("products", r"[su]dot|smmla|sm(ull|lal)2?|s(adalp|addlp)"),
    ("loads", r"ld.*"),
    ("stores", r"st.*"),
    ("prefetches", r"prf.*"),
    ("rounding", r"[su]cvtf|f(mul|mla|add|sub|cvt\w*|min|max|min_nm)|sqxtu?n2?|sqadd|smax|smin|uzp1|xtn2?"),
    ("moves", r"dup|mov|movi|ext|zip[12]|uzp2|trn[12]|ins|tbl"),
)
"""The kinds of instructions of vectors; loads and stores also of scalars. What is left is in two columns."""
REST = ("other vectors", "addresses and loops")
_VECTOR = re.compile(r"\bv\d+|\b[qds]\d+\b")
_LEAST = {"neon": 16 / 3, "dotprod": 16.0, "i8mm": 32.0}
"""Products of one instruction."""


@dataclass(frozen=True, order=True)
class LinkedFunction:
    """A function of the program, at its address."""

    start: int
    size: int
    name: str


def functions(program: Program, folder: Path) -> list[LinkedFunction]:
    """Link the engine's program again, with its symbols, and read them. Raises EngineError."""
    kernels, table, pictures = folder / "kernels.o", folder / "table.c", folder / "pictures.c"
    names = glue.kernel_names(program)
    compile_object([kernel.function(name) for kernel, name in names.items()], program.isa, kernels)
    table.write_text(glue.source(program))
    pictures.write_text(glue.fitting_source(Preprocessing(*program.image)))
    sources = [link.NATIVE / name for name in ("main.c", *link.ENGINE, *link.PICTURES)]
    options = ["-target", "aarch64-linux-musl", *(one for one in link.STATIC if one != "-s")]
    options += ["-std=c11", "-pthread", f"-I{link.NATIVE}"]
    done = run_zig(options, [table, pictures, *sources, kernels], folder / "program")
    if done.returncode:
        raise EngineError(f"linking the program failed:\n{done.stderr[-2000:]}")
    command = ["llvm-objdump", "-t", str(folder / "program")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(
        r"^([0-9a-f]{16}) .*F \.text\s+([0-9a-f]{16}) (?:\.hidden )?(\S+)$", text, re.MULTILINE
    )
    return sorted(LinkedFunction(int(at, 16), int(size, 16), name) for at, size, name in found)


def kind(instruction: str) -> str:
    """The column of an instruction as llvm-mc writes it."""
    _, mnemonic, *operands = instruction.split("\t")
    vector = bool(_VECTOR.search("".join(operands)))
    for name, pattern in KINDS:
        if re.fullmatch(pattern, mnemonic) and (vector or name in ("loads", "stores", "prefetches")):
            return name
    return REST[0] if vector else REST[1]


def by_kernel(engine: Path, program: Program, images: np.ndarray, folder: Path) -> dict[str, Counter[str]]:
    """Count an inference: for each kernel's symbol, and "other" code, the instructions of each kind."""
    isa, found = program.isa, functions(program, folder)
    blocks = placed_blocks(engine, EMULATED[isa.name], images)
    words = sorted({code[at : at + 8] for _, code in blocks for at in range(0, len(code), 8)})
    kinds = dict(zip(words, map(kind, (one for (one,) in disassembled(words, isa))), strict=True))
    starts, counts = [one.start for one in found], dict[str, Counter[str]]()
    for (at, code), times in blocks.items():
        one = found[max(bisect_right(starts, at) - 1, 0)]
        inside = one.start <= at < one.start + one.size and one.name.startswith("edgec_kernel")
        of_kernel = counts.setdefault(one.name if inside else "other", Counter())
        for word in range(0, len(code), 8):
            of_kernel[kinds[code[word : word + 8]]] += times
    return counts


def rows(counts: dict[str, Counter[str]], program: Program) -> Iterator[str]:
    """The table, the largest kernel first."""
    columns = [*(name for name, _ in KINDS), *REST]
    yield f"{'kernel, how often it runs':<44}{'all':>10}{'least':>10}" + "".join(f"{c:>21}" for c in columns)
    names = {name: kernel for kernel, name in glue.kernel_names(program).items()}
    for name, found in sorted(counts.items(), key=lambda item: -item[1].total()):
        steps = [step for step in program.steps if name in names and step.kernel == names[name]]
        least = sum(step.macs for step in steps) / _LEAST[program.isa.name]
        kernel = type(names[name]).__name__.removesuffix("Kernel") if steps else name
        label = f"{len(steps)} x {kernel} {steps[0].node[-24:]}" if steps else name
        cells = "".join(f"{found[column] / 1e3:>21.1f}" for column in columns)
        yield f"{label[:43]:<44}{found.total() / 1e3:>10.1f}{least / 1e3:>10.1f}{cells}"


def table(case: Path, isa: Isa) -> None:
    """Count one network, and print."""
    with tempfile.TemporaryDirectory() as scratch:
        engine, program = Path(scratch) / "engine", lower(import_graph(case / "model.int8.onnx"), isa)
        compile_engine(case / "model.int8.onnx", isa, engine)
        counts = by_kernel(engine, program, np.load(case / "pixels.npy"), Path(scratch))
    total = sum(found.total() for found in counts.values())
    print(f"{date.today()}, {case.name}, {isa.name}: {total / 1e6:.3f} million instructions")
    print(*rows(counts, program), sep="\n", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["mobilenetv1"], choices=list(CASES))
    parser.add_argument("--isa", default="dotprod", choices=list(EMULATED))
    parser.add_argument("--folder", type=Path, default=Path("out/peers"))
    options = parser.parse_args(arguments)
    for model in options.models:
        table(build(CASES[model], (), options.folder).place, ISAS[options.isa])


if __name__ == "__main__":
    main()
