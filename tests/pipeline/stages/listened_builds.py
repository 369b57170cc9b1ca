"""Builds of every kind of input, in a process that hears which of the user's files each stage opens.

    python -m tests.pipeline.stages.listened_builds FOLDER

Prints as JSON, for each kind, [stage, file, whether it is an input of that stage] of each file opened.
The hook hears what Python opens, also in C modules that go through it. It does not hear what onnxruntime
opens in C++: that are model files, whose data files `external_files` has named before.
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

from benchmarks.damage import make_input
from pipeline import stages
from pipeline.build.plan import Build
from pipeline.cache.digest import InputFile
from pipeline.cache.own_code import ROOT
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.config import BuildConfig, load_config
from pipeline.data.split import Split
from pipeline.models.zoo import find_model
from pipeline.progress import Silent
from pipeline.stages.validate import TrainingImages
from tests.pipeline.data.pictures import random_pixels, write_idx_set

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
    """The embedded network on the embedded pictures, with all that a build can be asked for."""
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
    from tests.pipeline.segmentation import masked, net

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
    """A Q/DQ graph that somebody else quantised."""
    make_input(work)
    wanted: Options = {"model": str(work / "net.onnx"), "data": work / "data"}
    first = build(wanted | {"out": work / "out" / "first"})
    shutil.copy(first.int8_model.path, work / "brought.onnx")
    return {**wanted, "calibration.quantized": work / "brought.onnx"}


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
    )
}


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
    """Notes what is opened below some folders while a stage runs."""

    def __init__(self) -> None:
        self.watched: tuple[Path, ...] = ()
        self.running: list[tuple[str, set[Path]]] = []
        self.heard: list[tuple[str, str, bool]] = []
        for module in pkgutil.iter_modules(stages.__path__):
            importlib.import_module(f"{stages.__name__}.{module.name}")
        for kind in _kinds(Stage):
            if "run" in vars(kind):
                kind.run = self._noting(kind.run)  # type: ignore[method-assign]
        sys.addaudithook(self._hook)

    def _noting(self, run: Callable[..., None]) -> Callable[..., None]:
        def noted(stage: Stage, *rest: object) -> None:
            values = [getattr(stage, field.name) for field in fields(stage)]
            self.running.append((stage.name, {path.resolve() for path in files_of(values)}))
            try:
                run(stage, *rest)
            finally:
                self.running.pop()

        return noted

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self.running or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = Path(os.fsdecode(arguments[0])).resolve()
        if any(path.is_relative_to(place) for place in self.watched) and "out" not in path.parts:
            stage, allowed = self.running[-1]
            self.heard.append((stage, str(path), path in allowed))


def main(folder: Path) -> None:
    """Build one of each kind below `folder`."""
    listener, found = Listener(), {}
    for name, make in KINDS.items():
        work = folder.resolve() / name
        work.mkdir()
        options = make(work)
        LOCATIONS[:] = [Path(str(options["data"]))] if "data" in options else []
        listener.watched, listener.heard = (work, EMBEDDED), []
        made = build(options | {"out": work / "out"})
        _ = made.report, made.bundle
        found[name] = {
            "model": str(made.checkpoint.path.resolve()),
            "stages": [step.stage for step in made.steps],
            "heard": listener.heard,
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
