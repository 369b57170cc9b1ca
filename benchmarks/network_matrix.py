"""Reads and builds over forty architectures, in the form of each exporter and opset.

    python -m benchmarks.network_matrix [NAME ...] [--target host] [--output matrix.jsonl]   # a row a network
    python -m benchmarks.network_matrix --table matrix.jsonl                                # as Markdown

Networks are those of `benchmarks.matrix`: small, for 32 x 32 pixels, with random weights and norms that have
seen images. torch's TorchScript-based exporter writes opsets 9 to 20, its present one, where `onnxscript` is
installed, 18 to 23; graphs in Keras' manner are written by hand in 13, 15 and 17. A row has

    forms       each exporter and opset: the largest difference of a logit between onnxruntime on the file as
                it came and on what edgec reads, or why there is none. What the exporter cannot write is said
    agreement   images (pixels) whose first class is the same in INT8 as in FP32, and
    sqnr_db     signal to noise of the logits, for opset 17
    integer_time  share of the engine's time that is in integers, layers measured one by one (host)
    floats      operators left in float
    problem     the refusal, where there is no engine
    date, processor   of that

Rows of several runs and targets may stand in one file.
"""

import argparse
import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from benchmarks.matrix.architectures import ARCHITECTURES, SEGMENTERS
from benchmarks.matrix.architectures.building_blocks import SIDE
from benchmarks.matrix.keras_graphs import GRAPHS, PIXELS
from benchmarks.random_network import CALIBRATION, RandomNetwork, build_and_run, pictures
from benchmarks.random_weights import settle
from benchmarks.recorded_rows import TargetRow, record, recorded
from calibration.errors import CalibrationError
from pipeline.errors import PipelineError
from pipeline.models.foreign.description import Description, ForeignModel, described
from pipeline.task import Task
from targets.errors import TargetError
from targets.processor import cpu_name

if TYPE_CHECKING:
    from torch import nn

MEAN, STD = 0.5, 0.25
TORCHSCRIPT = tuple(range(9, 21))
PRESENT = tuple(range(18, 24))
BY_HAND = (13, 15, 17)
COMPARED = 3
EMULATED = 2


@dataclass(frozen=True)
class Form:
    """A network as one exporter writes it in one opset."""

    exporter: str
    opset: int
    difference: float | None = None
    unwritten: str | None = None
    """What the exporter says where it cannot write this."""
    problem: str | None = None
    """What edgec says where it does not read it."""


@dataclass(frozen=True, kw_only=True)
class MatrixRow(TargetRow):
    """One network on one target, with all the forms in which it was read."""

    forms: tuple[Form, ...]
    integer_time: float | None = None
    date: str = ""
    processor: str = ""
    """Of the engine; forms may have been read on another day."""


def network(name: str) -> "nn.Module":
    """Build an architecture with random weights; its norms have seen images."""
    import torch

    from pipeline.models.resnet import FromPixels

    torch.manual_seed(0)
    made = ARCHITECTURES[name]()
    on_pixels = FromPixels(made, (MEAN,) * 3, (STD,) * 3)
    settle(on_pixels, [torch.from_numpy(pictures(CALIBRATION, (SIDE, SIDE, 3), seed=2))])
    return made.eval()


def written(
    name: str, folder: Path, opsets: dict[str, tuple[int, ...]]
) -> Iterator[tuple[Form, Path | None]]:
    """Yield the files of a network in every form asked for, or what its exporter says instead."""
    if name in GRAPHS:
        from benchmarks.matrix import keras_graphs

        for opset in opsets["by hand"]:
            path = folder / f"hand{opset}.onnx"
            seen = pictures(CALIBRATION, (SIDE, SIDE, 3), seed=2)
            yield Form("by hand", opset), keras_graphs.write(name, seen, opset, path)
        return
    made = network(name)
    for exporter, dynamo in (("TorchScript", False), ("torch.export", True)):
        for opset in opsets[exporter]:
            path = folder / f"{exporter}{opset}.onnx"
            try:
                _export(made, path, opset, dynamo)
            except Exception as error:  # whatever exporters raise
                said = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
                yield Form(exporter, opset, unwritten=said), None
            else:
                yield Form(exporter, opset), path


def _export(made: "nn.Module", path: Path, opset: int, dynamo: bool) -> None:
    import torch

    batch = (
        {"dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)}
        if dynamo
        else {"dynamic_axes": {"input": {0: "batch"}, "output": {0: "batch"}}}
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            made,
            (torch.randn(2, 3, SIDE, SIDE),),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=opset,
            dynamo=dynamo,
            **batch,
        )
    found = onnx.load(path, load_external_data=False).opset_import[0].version
    if found != opset:
        raise ValueError(f"asked for opset {opset}, the exporter wrote {found}")


def source_of(name: str, path: Path) -> ForeignModel:
    """Describe a file."""
    given: dict[str, object] = {"mean": [MEAN], "std": [STD], "size": [SIDE, SIDE], "channels": 3}
    if name in GRAPHS:
        given["layout"] = "NHWC"
    if name in PIXELS:
        given |= {"mean": [0.0], "std": [1 / 255]}
    if name in SEGMENTERS or name == "keras-unet":
        given["task"] = Task.SEGMENT
    return described(path, Description.model_validate(given))


def read(name: str, form: Form, path: Path, model: Path) -> Form:
    """Write what edgec reads as `model`, and return how far it is from the original."""
    from pipeline.models.foreign.original import Original
    from pipeline.models.foreign.rewrite import adopt
    from targets.reference import ReferenceTarget

    source = source_of(name, path)
    try:
        onnx.save(adopt(source, True, lambda _: None), model)
        original = Original(source)
        images = pictures(COMPARED, (SIDE, SIDE, 3), seed=1)
        with ReferenceTarget().open(model) as runner:
            logits = runner.infer(images)
        differences = [
            np.abs(original.ending(one, told.size).ravel() - told.ravel()).max()
            for one, told in zip(logits, map(original.infer, images), strict=True)
        ]
    except Exception as error:
        return replace(form, problem=_said(error))
    return replace(form, difference=float(max(differences)))


def _said(error: Exception) -> str:
    """Return a refusal in one line; anything else is a fault of edgec's, and called so."""
    refusal = isinstance(error, (PipelineError, CalibrationError, TargetError))
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if refusal else f"FAULT: {type(error).__name__}: {line}"


def row(
    name: str, target_name: str, folder: Path, images: int, opsets: dict[str, tuple[int, ...]]
) -> MatrixRow:
    """Read a network in every form, and build one of them, unless there are no images to try it on."""
    forms, models = [], []
    for form, path in written(name, folder, opsets):
        model = folder / f"{form.exporter}{form.opset}.model.onnx"
        forms.append(form if path is None else read(name, form, path, model))
        if forms[-1].difference is not None:
            models.append((abs(form.opset - 17), model))
    made = MatrixRow(
        network=name,
        target=target_name,
        forms=tuple(forms),
        date=str(date.today()),
        processor=cpu_name(),
    )
    if not models:
        return replace(made, problem=next((form.problem for form in forms if form.problem), "not written"))
    if not images:
        return made
    shape = (SIDE, SIDE, 3)
    subject = RandomNetwork(name, min(models)[1], pictures(images, shape, 1), pictures(CALIBRATION, shape, 2))
    try:
        return _built(made, subject, folder)
    except Exception as error:
        return replace(made, problem=_said(error))


def _built(made: MatrixRow, subject: RandomNetwork, folder: Path) -> MatrixRow:
    from targets.registry import find_target

    target = find_target(made.target)
    integer = made.target not in ("reference",) and not made.target.startswith("jetson")
    images = subject.images if target.runs_here or not integer else subject.images[:EMULATED]
    _, found = build_and_run(subject, target, folder, images)
    return replace(
        made,
        agreement=found.agreement,
        sqnr_db=found.sqnr_db,
        integer_time=None if found.float_time is None else 1 - found.float_time,
        floats=found.floats,
    )


def table(path: Path) -> str:
    """Return recorded rows as Markdown, a line a network; forms and shares of time are those of `host`."""
    found = recorded(path)
    by_target = {(one["network"], one["target"]): one for one in found}
    lines = [
        "| network | read, by exporter and opset | largest difference | `host`: same class, dB"
        " | time in integers | float | `jetson` | `rpi5` |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in (row for row in found if row["target"] == "host"):
        forms = [Form(**form) for form in one["forms"]]
        differences = [form.difference for form in forms if form.difference is not None]
        cells = [
            f"`{one['network']}`",
            "; ".join(_ranges(forms)),
            f"{max(differences):.0e}" if differences else "",
            _judged(one),
            "" if one["integer_time"] is None else f"{one['integer_time']:.0%}",
            ", ".join(one["floats"]),
            *(_judged(by_target.get((one["network"], target))) for target in ("jetson", "rpi5")),
        ]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _judged(row: dict[str, Any] | None) -> str:
    """Return how INT8 on a target compares with FP32; nothing where it was not run."""
    if row is None:
        return ""
    return f"refused: {row['problem']}" if row["problem"] else f"{row['agreement']:.1%}, {row['sqnr_db']:.1f}"


def _ranges(forms: list[Form]) -> Iterator[str]:
    """Say of each exporter which opsets were read, refused, or not written."""
    for exporter in dict.fromkeys(form.exporter for form in forms):
        theirs = [form for form in forms if form.exporter == exporter]
        said = {
            "": [form.opset for form in theirs if form.difference is not None],
            " refused": [form.opset for form in theirs if form.problem],
        }
        parts = [f"{_span(opsets)}{word}" for word, opsets in said.items() if opsets]
        if parts:
            yield f"{exporter} {', '.join(parts)}"


def _span(opsets: list[int]) -> str:
    return (
        f"{opsets[0]}-{opsets[-1]}"
        if len(opsets) > 1 and opsets[-1] - opsets[0] == len(opsets) - 1
        else (", ".join(map(str, opsets)))
    )


def main() -> None:
    """Print a row a network; rows that the output has already are not made again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help=", ".join([*ARCHITECTURES, *GRAPHS]))
    parser.add_argument("--target", default="host")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--opsets", type=int, nargs="+", help="these only, of those that there are")
    parser.add_argument("--read-only", action="store_true", help="build no engine")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path, help="print what was recorded in this file")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(chosen.table), end="")
        return
    logging.disable(logging.WARNING)
    present = PRESENT if find_spec("onnxscript") else ()
    opsets = {"TorchScript": TORCHSCRIPT, "torch.export": present, "by hand": BY_HAND}
    if chosen.opsets:
        opsets = {name: tuple(n for n in of if n in chosen.opsets) for name, of in opsets.items()}
    if not present:
        print("onnxscript is not installed: torch's present exporter cannot write without it")
    print(f"{date.today()}, {cpu_name()}")
    there = {one["network"] for one in recorded(chosen.output) if one["target"] == chosen.target}
    for name in chosen.networks or [*ARCHITECTURES, *GRAPHS]:
        if name in there:
            continue
        with tempfile.TemporaryDirectory(prefix="edgec-matrix-") as scratch:
            images = 0 if chosen.read_only else chosen.images
            finished = row(name, chosen.target, Path(scratch), images, opsets)
        record([finished], chosen.output)


if __name__ == "__main__":
    main()
