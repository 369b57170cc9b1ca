"""Reads a kernel's assembly: its inner loops, and whether accumulators stay in registers there."""

import re
import shutil
import subprocess

from targets.errors import EngineError
from targets.tvm.isa import Isa
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.machine_code import assembly

_SPILL = re.compile(r"%[xyz]mm\d+, *-?\d*\(%rsp|\sst[pu]?r?\s+q\d+,.*\[sp\b")
"""A vector stored on the stack, in AT&T's syntax or ARM's."""
_LABEL = re.compile(r"^(\.LBB\w+):")
_BRANCH = re.compile(r"^\s+(?:j\w+|b\.\w+|cbn?z|tbn?z)\s.*?(\.LBB\w+)$")
_MCA = "llvm-mca"


def inner_loops(kernel: ConvKernel) -> list[list[str]]:
    """The instructions of each innermost loop that multiplies, one a block size; all, if there is no loop."""
    lines = [line for line in assembly(kernel.function("kernel"), kernel.isa).splitlines() if line.strip()]
    labels: dict[str, int] = {}
    loops: list[range] = []
    for at, line in enumerate(lines):
        if label := _LABEL.match(line):
            labels[label[1]] = at
        elif (branch := _BRANCH.match(line)) and branch[1] in labels:
            loops.append(range(labels[branch[1]], at + 1))
    multiplying = [loop for loop in loops if dots([lines[i] for i in loop], kernel)]
    innermost = [a for a in multiplying if not any(b[0] in a and b[-1] in a for b in multiplying if b != a)]
    return [_instructions([lines[i] for i in loop]) for loop in innermost] or [_instructions(lines)]


def _instructions(lines: list[str]) -> list[str]:
    return [line for line in lines if not _LABEL.match(line) and not line.strip().startswith(".")]


def dots(code: list[str], kernel: ConvKernel) -> int:
    """How many instructions multiply activations by weights: which does depends on the kernel's operands."""
    mnemonic = re.compile(rf"\s+{kernel.inner.mnemonic}\s")
    return sum(bool(mnemonic.match(line)) for line in code)


def spills(code: list[str]) -> int:
    """How many instructions store vectors on the stack: constants are only read from there."""
    return sum(bool(_SPILL.search(line)) for line in code)


def mca_version() -> str | None:
    """Return what llvm-mca says of itself, by which its estimates may differ; None: it is not installed."""
    if shutil.which(_MCA) is None:
        return None
    said = subprocess.run([_MCA, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\S+)", said)
    return found[1] if found else said


def dots_a_cycle(loops: list[list[str]], kernel: ConvKernel) -> float | None:
    """llvm-mca's estimate for all loops, with equal weights; None where it is not installed."""
    if shutil.which(_MCA) is None:
        return None
    cycles = [_cycles(loop, kernel.isa) for loop in loops]
    return sum(dots(loop, kernel) for loop in loops) / sum(cycles)


def _cycles(code: list[str], isa: Isa) -> float:
    """Cycles of one turn of a loop on the instruction set's processor. Raises EngineError."""
    turns = 200
    options = [f"-mtriple={isa.triple}", f"-mcpu={isa.cpu}", f"-mattr={','.join(isa.features)}"]
    text = "\n".join(line for line in code if not _BRANCH.match(line))
    command = [_MCA, *options, f"-iterations={turns}"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    cycles = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if cycles is None:
        raise EngineError(f"{_MCA} did not understand a kernel for {isa.name}:\n{done.stderr[-2000:]}")
    return int(cycles[1]) / turns
