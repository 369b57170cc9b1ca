"""Bundles made from a good one: a newer one, one that fails its test, one whose engine the device builds."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle.pack import BUILDER, pack
from targets.base import BuildState
from targets.runtime.bundle import archive
from targets.runtime.bundle.manifest import EVALUATION, NAME, Manifest

Arrays = dict[str, NDArray[Any]]
IMAGES, OF_IMAGES = 20, ("images", "labels", "fp32", "int8")


def changed(bundle: Path, change: Callable[[dict[str, bytes]], None], **fields: str) -> Path:
    """A bundle with other files, whose manifest is right about them, and has these fields."""
    files = archive.contents(bundle)
    change(files)
    old = Manifest.parse(files.pop(NAME).decode())
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    new = Manifest(**{**vars(old), "files": digests, **fields})
    path = bundle.with_name("changed.edgec")
    pack({**files, NAME: new.to_json().encode()}, path, archive.top_folder(bundle))
    return path


def another_version(bundle: Path) -> Path:
    return changed(bundle, lambda files: files.update({"labels.txt": files["labels.txt"] + b"\n"}))


def failing_version(bundle: Path) -> Path:
    """One that computes other logits than those it was validated with."""
    return with_evaluation(bundle, lambda held: {"int8": held["int8"][:, ::-1]})


def with_few_images(bundle: Path) -> Path:
    """One whose self-test takes no time."""
    return with_evaluation(bundle, lambda held: {name: held[name][:IMAGES] for name in OF_IMAGES})


def with_evaluation(bundle: Path, change: Callable[[Arrays], Arrays]) -> Path:
    """One with other arrays in its self-test."""

    def replace(files: dict[str, bytes]) -> None:
        with np.load(io.BytesIO(files[EVALUATION])) as held:
            golden = {name: held[name] for name in held.files}
        written = io.BytesIO()
        np.savez(written, **golden | change(golden))
        files[EVALUATION] = written.getvalue()

    return changed(bundle, replace)


def not_built(bundle: Path, builder: bytes, runner: str, **modules: bytes) -> Path:
    """One whose engine `builder` builds on the device; `modules` are added to its runtime."""
    added = {BUILDER: builder, **{f"runtime/{name}.py": code for name, code in modules.items()}}
    return changed(bundle, lambda files: files.update(added), state=BuildState.NOT_BUILT, runner=runner)
