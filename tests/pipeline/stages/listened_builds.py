"""Builds of every kind of input, in a process that hears which of the user's files each stage opens.

    python -m tests.pipeline.stages.listened_builds FOLDER

Prints as JSON, for each kind, its options, its files of weights, the stages that ran, the places that its
record looks at, and for each file that was opened [stage, file, whether it is an input of that stage].
The kernel tells what was opened below the user's folder, also in C++ and by child processes. The pictures and
weights that come with edgec are opened by others meanwhile, so for those Python's own hook is asked.
"""

import importlib
import json
import os
import pickle
import pkgutil
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.damage import make_input
from pipeline import stages
from pipeline.build.build_record import BuildRecord
from pipeline.build.given_settings import GivenSettings
from pipeline.build.plan import Build
from pipeline.cache.code_at_start import ROOT
from pipeline.cache.digest import InputFile
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.config import BuildConfig, load_config
from pipeline.data.split import Split
from pipeline.models.foreign.external_data import input_onnx
from pipeline.models.zoo import find_model
from pipeline.progress import Silent
from pipeline.stages.refuse_leak import TrainingImages
from tests.pipeline.data.pictures import random_pixels, write_idx_set
from tests.pipeline.stages.opened_files import OpenedFiles

Options = dict[str, object]
EMBEDDED = ROOT / "data"
FEW: Options = {
    "target": "reference",
    "calibration.images": 8,
    "validation.images": 8,
    "latency.seconds": 0.05,
    "latency.peer": False,
}


def default_model(_: Path) -> Options:
    """The embedded network on the embedded pictures, with every option of a build."""
    return {"latency.peer": True, "validation.sensitivity": 4, "validation.robustness": 4}


def onnx_with_external_data(work: Path) -> Options:
    """Weights in two more files, a TOML that names a file of classes, pictures in folders."""
    make_input(work)
    return {"model": str(work / "net.onnx"), "data": work / "data"}


def zipped_pictures(work: Path) -> Options:
    make_input(work)
    shutil.make_archive(str(work / "pictures"), "zip", work / "data")
    shutil.rmtree(work / "data")
    return {"model": str(work / "net.onnx"), "data": work / "pictures.zip"}


def segmentation(work: Path) -> Options:
    from tests.pipeline.pictures_with_masks import masked, net

    path = net(work)
    masked(work / "data", "train", 8)
    masked(work / "data", "test", 4)
    return {"model": str(path), "data": work / "data"}


def cifar_binary_and_safetensors(work: Path) -> Options:
    """Weights that are not trained: FP32 guesses, and causes are looked for too."""
    import safetensors.torch

    _write_cifar(work / "cifar")
    safetensors.torch.save_file(_weights("resnet20-cifar10"), work / "net.safetensors")
    return {"model": "resnet20-cifar10", "data": work / "cifar", "checkpoint": work / "net.safetensors"}


def idx_and_torch_checkpoint(work: Path) -> Options:
    import torch

    write_idx_set(work / "idx", train=60, t10k=20)
    torch.save({"state_dict": _weights("resnet20-fashion")}, work / "net.pt")
    return {"model": "resnet20-fashion", "data": work / "idx", "checkpoint": work / "net.pt"}


def brought_graph(work: Path) -> Options:
    """A Q/DQ graph of edgec's own beside the float one, both with their weights in other files."""
    return _brought(work, ours=True)


def graph_of_others(work: Path) -> Options:
    """The same network, as if another tool had quantised it."""
    return _brought(work, ours=False)


def _brought(work: Path, ours: bool) -> Options:
    make_input(work)
    wanted: Options = {"model": str(work / "net.onnx"), "data": work / "data"}
    graph = onnx.load(build(wanted | {"out": work.parent / "first"}).int8_model.path)
    if not ours:
        del graph.metadata_props[:]
        (work / "brought.toml").write_text('layout = "NHWC"\n' + (work / "net.toml").read_text())
    brought = work / "brought.onnx"
    onnx.save(graph, brought, save_as_external_data=True, location="brought.data", size_threshold=0)
    return {**wanted, "calibration.quantized": brought}


KINDS: dict[str, Callable[[Path], Options]] = {
    made.__name__: made
    for made in (
        default_model,
        onnx_with_external_data,
        zipped_pictures,
        segmentation,
        cifar_binary_and_safetensors,
        idx_and_torch_checkpoint,
        brought_graph,
        graph_of_others,
    )
}


UNTIMED = ("cifar_binary_and_safetensors", "idx_and_torch_checkpoint", "graph_of_others")
"""Kinds that are not timed: their pictures, and their network beside the engine, occur in other kinds."""


def _weights(name: str) -> Any:  # noqa: ANN401 - tensors by name; torch is loaded late
    import torch

    from pipeline.models import resnet

    torch.manual_seed(0)
    model = find_model(name)
    return resnet.build(model.architecture, model.channels, 10).state_dict()


def _write_cifar(folder: Path) -> None:
    folder.mkdir()
    for seed, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        rows = random_pixels(20, seed, side=32).transpose(0, 3, 1, 2).reshape(20, -1)
        content = {b"data": np.ascontiguousarray(rows), b"labels": [n % 10 for n in range(20)]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"c%d" % n for n in range(10)]}))


def build(options: Options) -> Build:
    """Return a build; its products are made when asked for."""
    return Build(load_config(BuildConfig, None, FEW | options), Silent())


def finish(made: Build, kind: str) -> None:
    """Run all stages of a build of this kind, or all but those that take time."""
    _ = made.bundle, made.lasting_report if kind in UNTIMED else made.report


def files_of(value: object) -> Iterator[Path]:
    """Yield the files that a stage may open because of one of its fields."""
    if isinstance(value, InputFile):
        yield value.path
        yield from files_of(value.parts)
    elif isinstance(value, Split):
        yield from _stored(value)
    elif isinstance(value, TrainingImages):
        yield from _below(Path(value.dataset.location))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from files_of(item)
    elif is_dataclass(value) and not isinstance(value, Product):
        for field in fields(value):
            yield from files_of(getattr(value, field.name))


def _stored(split: Split) -> Iterator[Path]:
    """Yield the files of a split's own pictures, and their masks; or the ones that all are packed in."""
    names = [Path(split.images.name(int(index))) for index in split.indices]
    for location in LOCATIONS:
        if (location / names[0]).is_file():
            yield from (location / name for name in names)
            masks = (location / name.parent.parent / "masks" / name.name for name in names)
            yield from (mask for mask in masks if mask.is_file())
        elif location.is_file():
            yield location


def _below(place: Path) -> list[Path]:
    return [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]


LOCATIONS: list[Path] = []
"""Where the data set of the build at hand lies."""


def _kinds(kind: type[Stage]) -> Iterator[type[Stage]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds(one)


class Listener:
    """Notes which of a user's files are opened while a stage runs."""

    def __init__(self) -> None:
        self.opened = OpenedFiles()
        self.running: list[tuple[str, set[Path]]] = []
        self.heard: list[tuple[str, str, bool]] = []
        for module in pkgutil.iter_modules(stages.__path__):
            importlib.import_module(f"{stages.__name__}.{module.name}")
        for kind in _kinds(Stage):
            if "run" in vars(kind):
                kind.run = self._noting(kind.run)  # type: ignore[method-assign]
        sys.addaudithook(self._hook)

    def listen(self, work: Path) -> None:
        """Forget what was heard, and hear what is opened in `work`, where all of the user's files lie."""
        self.opened = OpenedFiles()
        self.opened.watch(work)
        self.heard = []

    def _noting(self, run: Callable[..., None]) -> Callable[..., None]:
        def noted(stage: Stage, *rest: object) -> None:
            values = [getattr(stage, field.name) for field in fields(stage)]
            self.running.append((stage.name, {path.resolve() for path in files_of(values)}))
            self.opened.since_last_asked()
            try:
                run(stage, *rest)
                for path in sorted(self.opened.since_last_asked()):
                    self._note(path)
            finally:
                self.running.pop()

        return noted

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self.running or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = Path(os.fsdecode(arguments[0])).resolve()
        if path.is_relative_to(EMBEDDED):
            self._note(path)

    def _note(self, path: Path) -> None:
        stage, allowed = self.running[-1]
        self.heard.append((stage, str(path), path in allowed))


def main(folder: Path) -> None:
    """Build one of each kind below `folder`."""
    listener, found = Listener(), {}
    for name, make in KINDS.items():
        work = folder.resolve() / name / "users"
        work.mkdir(parents=True)
        options = make(work)
        LOCATIONS[:] = [Path(str(options["data"]))] if "data" in options else []
        listener.listen(work)
        made = build(options | {"out": work.parent / "out"})
        finish(made, name)
        found[name] = {
            "options": options | {"out": work.parent / "out"},
            "weights": _files_of_weights(made),
            "stages": [step.stage for step in made.steps],
            "heard": listener.heard,
            "places": sorted(map(str, map(Path.resolve, _places(made, options)))),
        }
    sys.stdout.write(json.dumps(found, default=str))


def _places(made: Build, options: Options) -> set[Path]:
    record = BuildRecord(GivenSettings(None, FEW | options))
    record.load()
    return record.places(made)


def _files_of_weights(made: Build) -> list[str]:
    given = [made.checkpoint]
    if made.config.calibration.quantized is not None:
        given.append(input_onnx(made.config.calibration.quantized))
    return [str(one.path.resolve()) for each in given for one in (each, *each.parts)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
