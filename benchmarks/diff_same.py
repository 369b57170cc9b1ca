"""Whether `edgec diff` says "the same" of pairs that are the same, for every network of the family.

    python -m benchmarks.diff_same [NAME ...] [--images 8] [--output same.jsonl]    # a row a pair
    python -m benchmarks.diff_same --table same.jsonl                               # the rows as Markdown

Each network of benchmarks/family.py, with its random weights, is calibrated, quantised and compiled twice,
and compiled for each other instruction set of this processor. Folders are opened as the command opens them.
Compared are the Q/DQ network and the engine, the engine and those of the other instruction sets, and the
build and its rebuild.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.family import record_networks
from benchmarks.random_network import Images, RandomNetwork, quantize_for
from benchmarks.recorded_rows import recorded
from calibration.errors import CalibrationError
from pipeline.difference.judged import difference_of
from pipeline.difference.opened_side import opened_side
from pipeline.difference.picture_preparation import prepared
from targets.errors import TargetError
from targets.processor import cpu_flags
from targets.runtime.cpu import NEEDED
from targets.tvm.cpu_target import HostTarget, compile_engine, host_isa
from targets.tvm.isa import ISAS

REBUILT = "its rebuild"
GRAPH = "its Q/DQ network"


@dataclass(frozen=True)
class SamePair:
    """One network's engine and what has to be the same as it. verdict: what `edgec diff` says."""

    network: str
    pair: str
    verdict: str
    summary: str
    notes: tuple[str, ...] = ()
    same_bytes: bool | None = None
    seconds: float = 0.0


def pairs(subject: RandomNetwork, folder: Path) -> Iterator[SamePair]:
    """Build a network for each instruction set and again, and compare. The first is the usual build."""
    usual = host_isa().name
    try:
        quantised = quantize_for(subject, HostTarget().recipe.name, folder)
        folders = {isa: _compiled(quantised, isa, folder / isa) for isa in _instruction_sets(usual)}
        (folder / "calibrated again").mkdir()
        quantised = quantize_for(subject, HostTarget().recipe.name, folder / "calibrated again")
        again = _compiled(quantised, usual, folder / "again")
    except (TargetError, CalibrationError) as error:
        yield SamePair(subject.name, "", "no engine", str(error))
        return
    build = folders[usual]
    graph = build / "model.int8.onnx"
    yield _compared(subject.name, f"{usual} and {GRAPH}", graph, build, subject.images)
    for isa, other in folders.items():
        if isa != usual:
            yield _compared(subject.name, f"{usual} and {isa}", build, other, subject.images)
    yield _compared(subject.name, f"{usual} and {REBUILT}", build, again, subject.images)


def _instruction_sets(usual: str) -> list[str]:
    """Return this processor's instruction sets, the usual one first."""
    flags = cpu_flags()
    mine = [isa.name for isa in ISAS.values() if isa.triple.startswith("x86") and NEEDED[isa.name] <= flags]
    return [usual, *(name for name in mine if name != usual)]


def _compiled(quantised: Path, isa: str, folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(quantised, folder / "model.int8.onnx")
    compile_engine(folder / "model.int8.onnx", ISAS[isa], folder / "model.engine")
    return folder


def _compared(network: str, pair: str, a: Path, b: Path, images: Images) -> SamePair:
    start = time.process_time()
    with opened_side(a) as ours, opened_side(b) as theirs:
        found = difference_of(*prepared(ours, theirs, images), images)
    same = None
    if pair.endswith(REBUILT):
        same = all((a / n).read_bytes() == (b / n).read_bytes() for n in ("model.int8.onnx", "model.engine"))
    spent = time.process_time() - start
    return SamePair(network, pair, str(found.verdict), found.summary, found.notes, same, spent)


def table(path: Path) -> str:
    """Return recorded pairs as Markdown, a line a network."""
    found = recorded(path)
    cells = {(row["network"], row["pair"]): _cell(row) for row in found}
    kinds = list(dict.fromkeys(row["pair"] for row in found if row["pair"]))
    lines = [f"| network | {' | '.join(kinds)} |", "|---" * (1 + len(kinds)) + "|"]
    for name in dict.fromkeys(row["network"] for row in found):
        refused = cells.get((name, ""))
        lines.append(f"| `{name}` | {' | '.join(refused or cells.get((name, one), '') for one in kinds)} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, object]) -> str:
    if not row["pair"]:
        return f"no engine: {row['summary']}".replace("|", "/")
    return str(row["verdict"]) + (", same bytes" if row["same_bytes"] else "")


def main() -> None:
    """Print a row a pair; networks that the output has already are not made again."""
    record_networks(__doc__, 8, pairs, table)


if __name__ == "__main__":
    main()
