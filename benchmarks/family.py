"""Every network of the family, and small ones of other families, on every kind of target: does it build?

    python -m benchmarks.family [NAME ...] [--images 64] [--output family.jsonl]    # a row a target
    python -m benchmarks.family --table family.jsonl                                # the rows as Markdown

Weights are random, norms have seen images of the embedded set, so that every layer is alive. Networks of the
ImageNet form run at 64 pixels: the emulator would take minutes an image at 224. A row has

    agreement   images whose first class is the same in INT8 on that target as in FP32 (for segmentation:
                pixels, and the mean IoU with FP32's classes)
    sqnr_db     signal to noise of the logits: with random weights it says more than classes do
    bits        host: whether logits are identical to the integer oracle's; ARM: to the host's, in qemu;
                Jetson: what compiled the graph here, as its engine is only built on the device
    int8_share  share of multiply-accumulates in INT8; floats: the operators left in float; float_time: their
                share of the host's time, layers measured one by one
    seconds     to build the engine
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.random_network import (
    CALIBRATION,
    Images,
    Logits,
    RandomNetwork,
    outcome,
    pictures,
    quantize_for,
)
from benchmarks.random_weights import settle
from benchmarks.recorded_rows import TargetRow, record, recorded
from calibration.errors import CalibrationError
from pipeline.models.foreign.description import Description, described
from pipeline.models.zoo import KNOWN_MODELS, find_model
from pipeline.task import Task
from targets.base import CHECKS
from targets.errors import TargetError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TARGETS = ("reference", "host", "arm", "jetson")
EMULATED_IMAGES = 2
ORACLE_IMAGES = 2
SMALL_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class FamilyRow(TargetRow):
    """One network on one target."""

    iou: float | None = None
    bits: str = ""
    int8_share: float | None = None
    float_time: float | None = None
    seconds: float | None = None


def known(name: str, count: int, folder: Path) -> RandomNetwork:
    """Export a member of the family with random weights."""
    import torch

    from pipeline.models import resnet
    from pipeline.stages.export import write_onnx

    model = find_model(name)
    if model.input_shape[0] > SMALL_SIDE:
        model = find_model(f"{name}-{SMALL_SIDE}px")
    shape = model.input_shape
    images, calibration = pictures(count, shape, seed=1), pictures(CALIBRATION, shape, seed=2)
    torch.manual_seed(0)
    network = resnet.build(model.architecture, model.channels, 10)
    on_pixels = resnet.FromPixels(network, model.mean, model.std)
    settle(on_pixels, [torch.from_numpy(calibration)])
    write_onnx(on_pixels.eval(), shape, True, folder / "model.onnx")
    return RandomNetwork(name, folder / "model.onnx", images, calibration)


def foreign(name: str, count: int, folder: Path) -> RandomNetwork:
    """Export and adopt a small network of another family."""
    import onnx

    from pipeline.models.foreign.rewrite import adopt
    from tests.pipeline.models.foreign import networks

    kind = (networks.CLASSIFIERS | networks.SEGMENTERS)[name]
    path = networks.export(networks.make(kind), folder / f"{name}.onnx")
    task = Task.SEGMENT if name in networks.SEGMENTERS else Task.CLASSIFY
    source = described(path, Description(mean=(0.5,), std=(0.25,), task=task))
    made = adopt(source, True, lambda _: None)
    onnx.save(made, folder / "model.onnx")
    shape = source.input_shape
    return RandomNetwork(
        name, folder / "model.onnx", pictures(count, shape, 1), pictures(CALIBRATION, shape, 2)
    )


def rows(subject: RandomNetwork, folder: Path) -> Iterator[FamilyRow]:
    """Yield what each target makes of a network."""
    from targets.reference import ReferenceTarget
    from targets.registry import find_target

    with ReferenceTarget().open(subject.model) as runner:
        fp32 = runner.infer(subject.images)
    quantized: dict[str, Path] = {}
    host: Logits | None = None
    for name in TARGETS:
        target = find_target(name)
        engine = folder / name / target.engine_name
        engine.parent.mkdir(exist_ok=True)
        start = time.monotonic()
        try:
            recipe = target.recipe.name
            if recipe not in quantized:
                quantized[recipe] = quantize_for(subject, recipe, folder)
            int8 = quantized[recipe]
            start = time.monotonic()
            target.build(int8, engine, subject.model)
            seconds = time.monotonic() - start
            images = subject.images[: EMULATED_IMAGES if name == "arm" else None]
            found = outcome(target, engine, int8, images, fp32)
        except (TargetError, CalibrationError) as error:
            yield FamilyRow(network=subject.name, target=name, problem=str(error))
            continue
        logits = found.logits
        host = logits if name == "host" else host
        yield FamilyRow(
            network=subject.name,
            target=name,
            agreement=found.agreement,
            sqnr_db=found.sqnr_db,
            iou=mean_iou(logits, fp32[: len(logits)]) if fp32.ndim == 4 else None,
            bits=checks(engine) if name == "jetson" else bits(name, logits, host, int8, subject.images),
            int8_share=found.int8_share,
            floats=found.floats,
            float_time=found.float_time if found.floats else None,
            seconds=seconds,
        )


def bits(target: str, logits: Logits, host: Logits | None, int8: Path, images: Images) -> str:
    """Say whether logits are bit for bit what another way of computing them gives."""
    if target == "host":
        from targets.tvm import oracle
        from targets.tvm.importer import import_graph

        expected = oracle.run(import_graph(int8), images[:ORACLE_IMAGES])
        return told(logits[:ORACLE_IMAGES], expected, "the oracle")
    if target == "arm" and host is not None:
        return told(logits, host[: len(logits)], "host, in qemu")
    return ""


def checks(engine: Path) -> str:
    """Return which checks of a Jetson's files passed here."""
    found = json.loads(engine.with_name(CHECKS).read_text())
    if all(check["outcome"] == "passed" for check in found):
        return "compiled by TensorRT-RTX"
    return "; ".join(f"{check['name']} {check['outcome']}" for check in found)


def told(found: Logits, expected: Logits, what: str) -> str:
    """Return "= what", or how many logits differ from it."""
    different = int((found.reshape(expected.shape) != expected).sum())
    return f"= {what}" if not different else f"{different} of {expected.size} differ from {what}"


def mean_iou(found: Logits, expected: Logits) -> float:
    """Return the mean over classes of intersection over union of the classes per pixel [N, K, H, W]."""
    a, b = found.argmax(1), expected.argmax(1)
    classes = sorted({*np.unique(a).tolist(), *np.unique(b).tolist()})
    return float(np.mean([((a == k) & (b == k)).sum() / ((a == k) | (b == k)).sum() for k in classes]))


def table(path: Path) -> str:
    """Return recorded rows as Markdown, a line a network."""
    found = recorded(path)
    cells = {(row["network"], row["target"]): _cell(row) for row in found}
    lines = [f"| network | {' | '.join(TARGETS)} |", "|---" * (1 + len(TARGETS)) + "|"]
    for name in dict.fromkeys(row["network"] for row in found):
        told = " | ".join(cells.get((name, target), "not run") for target in TARGETS)
        lines.append(f"| `{name}` | {told} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, object]) -> str:
    if row["problem"]:
        return f"refused: {row['problem']}".replace("|", "/")
    parts = []
    if not (row["target"] == "arm" and str(row["bits"]).startswith("=")):  # the same bits, on fewer images
        parts.append(f"{row['agreement']:.1%} agree")
        parts += [f"{row['sqnr_db']:.1f} dB"] if row["sqnr_db"] is not None else []
        parts += [f"IoU {row['iou']:.2f}"] if row["iou"] is not None else []
    if row["bits"]:
        parts.append(str(row["bits"]))
    if row["int8_share"] is not None:
        parts.append(f"{row['int8_share']:.0%} INT8")
    floats = row["floats"]
    if floats and row["target"] in ("host", "arm"):
        took = row.get("float_time")
        cost = f" ({took:.0%} of the time)" if took is not None else ""
        parts.append(f"float: {', '.join(map(str, floats))}{cost}")  # type: ignore[call-overload]
    return ", ".join(parts)


def main() -> None:
    """Print a row a network and target; networks that the output has already are not made again."""
    record_networks(__doc__, 64, rows, table)


def record_networks(
    description: str | None,
    images: int,
    rows_of: Callable[[RandomNetwork, Path], Iterable["DataclassInstance"]],
    table_of: Callable[[Path], str],
) -> None:
    """Print and record the rows of each network of the command line, or the table of a file of rows.

    images: the default of --images. rows_of: makes the rows of a network, which have a field `network`, in an
    empty folder. Networks that the output has already are not made again.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*")
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path, help="print what was recorded in this file")
    chosen = parser.parse_args()
    if chosen.table:
        print(table_of(chosen.table), end="")
        return
    made = {row["network"] for row in recorded(chosen.output)}
    for name, make in subjects(chosen.networks).items():
        if name in made:
            continue
        with tempfile.TemporaryDirectory(prefix="edgec-family-") as scratch:
            finished = list(rows_of(make(name, chosen.images, Path(scratch)), Path(scratch)))
        record(finished, chosen.output)


def subjects(names: Sequence[str]) -> dict[str, Callable[[str, int, Path], RandomNetwork]]:
    """Return how to make each network asked for; without names, all."""
    from tests.pipeline.models.foreign.networks import CLASSIFIERS, SEGMENTERS

    every = {model.name: known for model in KNOWN_MODELS} | dict.fromkeys(CLASSIFIERS | SEGMENTERS, foreign)
    return {name: every.get(name, known) for name in names or every}


if __name__ == "__main__":
    main()
