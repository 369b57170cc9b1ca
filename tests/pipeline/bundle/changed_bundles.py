"""Bundles made from a good one: a newer one, one that fails its test, one whose engine the device builds."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.bundle.pack import BUILDER, pack
from targets.base import BuildState
from targets.runtime.bundle import archive
from targets.runtime.bundle.manifest import NAME, Manifest
from targets.runtime.selftest import EVALUATION


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

    def change(files: dict[str, bytes]) -> None:
        with np.load(io.BytesIO(files[EVALUATION])) as held:
            golden = {name: held[name] for name in held.files}
        golden["int8"] = golden["int8"][:, ::-1].copy()
        changed_file = io.BytesIO()
        np.savez(changed_file, **golden)
        files[EVALUATION] = changed_file.getvalue()

    return changed(bundle, change)


def not_built(bundle: Path, builder: bytes, runner: str, **modules: bytes) -> Path:
    """One whose engine `builder` builds on the device; `modules` are added to its runtime."""
    added = {BUILDER: builder, **{f"runtime/{name}.py": code for name, code in modules.items()}}
    return changed(bundle, lambda files: files.update(added), state=BuildState.NOT_BUILT, runner=runner)
