"""A lower bound on the cycles of an inference on a Cortex-A76, by llvm-mca. It is not a latency.

    python -m benchmarks.arm_cycles [--models resnet20 resnet18 resnet50] [--isa dotprod]

Needs qemu-aarch64, llvm-mc and llvm-mca; networks are those of benchmarks.cpu_peers. The emulator counts how
often each block of instructions runs in one inference. A block costs the cycles for which it occupies its
busiest pipe in llvm-mca's model of the processor. It is assumed that every load hits the first cache, that no
instruction waits for a result, and that every branch is predicted. A board takes longer. Counted is the
difference between runs of two lengths.
"""

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.network import CASES
from benchmarks.peers.peer_build import build
from targets.errors import EngineError
from targets.reach.emulator import QEMU
from targets.runtime.zig import run_zig
from targets.tvm.cpu_target import compile_engine
from targets.tvm.isa import ISAS, Isa

EMULATED = {"neon": "cortex-a72", "dotprod": "cortex-a76", "i8mm": "max,sme=off"}
_MEGAHERTZ = 2400
"""A Raspberry Pi 5's."""
_HOT = 0.9999
"""The share of the executed instructions whose blocks are analysed."""


def blocks_of_an_inference(engine: Path, cpu: str, images: NDArray[np.uint8]) -> Counter[str]:
    """How often each block, by its bytes, runs in one inference. Raises EngineError."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "blocks.so"
        source = Path(__file__).parent / "count_blocks.c"
        options = ["-shared", "-fPIC", "-O2", "-Wl,-z,lazy", "-Wl,--allow-shlib-undefined"]
        done = run_zig(options, [source], plugin)
        if done.returncode:
            raise EngineError(f"compiling {source.name} failed:\n{done.stderr[-2000:]}")
        one, two = (_run(engine, cpu, plugin, images[:count]) for count in (1, 2))
    return two - one  # an inference like another; what runs only once, to load, is in both


def _run(engine: Path, cpu: str, plugin: Path, images: NDArray[np.uint8]) -> Counter[str]:
    command = [QEMU, "-cpu", cpu, "-plugin", str(plugin), str(engine.resolve()), "logits", "--threads", "1"]
    done = subprocess.run(command, input=images.tobytes(), capture_output=True, check=False)
    if done.returncode:
        raise EngineError(f"{engine} failed in the emulator: {done.stderr[-500:].decode(errors='replace')}")
    found = Counter[str]()
    for count, code in re.findall(rb"^block (\d+) ([0-9a-f]+)$", done.stderr, re.MULTILINE):
        found[code.decode()] += int(count)
    return found


def cycles(blocks: Counter[str], isa: Isa) -> float:
    """The cycles of all blocks by llvm-mca, each counted as often as it runs. Raises EngineError."""
    total = sum(count * _length(code) for code, count in blocks.items())
    hot, seen = [], 0
    for code, count in sorted(blocks.items(), key=lambda item: -item[1] * _length(item[0])):
        if seen > _HOT * total:
            break
        hot.append(code)
        seen += count * _length(code)
    costs = _costs(list(_assembly(hot, isa)), isa)
    looked_at = sum(blocks[code] * cost for code, cost in zip(hot, costs, strict=True))
    return looked_at * total / seen


def _length(code: str) -> int:
    return len(code) // 8


def _assembly(blocks: Sequence[str], isa: Isa) -> Iterator[list[str]]:
    """The instructions of each block, as llvm-mc writes them."""
    words = [code[at : at + 8] for code in blocks for at in range(0, len(code), 8)]
    text = "\n".join(" ".join(f"0x{word[at : at + 2]}" for at in (6, 4, 2, 0)) for word in words)
    command = ["llvm-mc", "-disassemble", f"-triple={isa.triple}", f"-mattr=+v8.2a,{','.join(isa.features)}"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("\t") and line[1] != "."]
    if len(lines) != len(words):
        raise EngineError(f"llvm-mc does not know all instructions:\n{done.stderr[-1000:]}")
    at = 0
    for code in blocks:
        yield lines[at : at + _length(code)]
        at += _length(code)


def _costs(blocks: Sequence[list[str]], isa: Isa) -> list[float]:
    """Cycles for which each block occupies its busiest pipe."""
    regions = ["\n".join(["# LLVM-MCA-BEGIN", *lines, "# LLVM-MCA-END"]) for lines in blocks]
    options = [
        f"-mtriple={isa.triple}",
        "-mcpu=cortex-a76",
        f"-mattr={','.join(isa.features)}",
        "-iterations=1",
    ]
    text = "\n".join([*regions, ""])
    done = subprocess.run(["llvm-mca", *options], input=text, capture_output=True, text=True, check=False)
    found = [float(cycles) for cycles in re.findall(r"Block RThroughput: +([\d.]+)", done.stdout)]
    if len(found) != len(blocks):
        raise EngineError(f"llvm-mca did not understand all blocks:\n{done.stderr[-2000:]}")
    return found


def main() -> None:
    """Count, ask llvm-mca, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models", nargs="+", default=["resnet20", "resnet18", "resnet50"], choices=list(CASES)
    )
    parser.add_argument("--isa", default="dotprod", choices=["neon", "dotprod", "i8mm"])
    parser.add_argument("--folder", type=Path, default=Path("out/peers"))
    options = parser.parse_args()
    isa = ISAS[options.isa]
    version = subprocess.run(["llvm-mca", "--version"], capture_output=True, text=True, check=True).stdout
    release = " ".join(re.findall(r"LLVM version \S+", version))
    print(f"{date.today()}, {isa.name}, one thread, llvm-mca's Cortex-A76, {release}")
    for model in options.models:
        case = build(CASES[model], (), options.folder).place
        engine = case / f"{isa.name}.engine"
        compile_engine(case / "model.int8.onnx", isa, engine)
        blocks = blocks_of_an_inference(engine, EMULATED[isa.name], np.load(case / "pixels.npy"))
        executed = sum(count * _length(code) for code, count in blocks.items())
        least = cycles(blocks, isa)
        print(
            f"{model:<12} {executed / 1e6:>8.2f} M instructions {least / 1e6:>8.2f} M cycles at least, "
            f"{executed / least:.2f} a cycle; {least / _MEGAHERTZ / 1e3:.2f} ms at {_MEGAHERTZ / 1e3} GHz",
            flush=True,
        )


if __name__ == "__main__":
    main()
