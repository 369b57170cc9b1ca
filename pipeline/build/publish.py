"""Copies the products of a build to out/<name>/ and out/<name>.edgec."""

import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.cache.atomic import replacing
from pipeline.cache.digest import file_digest
from pipeline.cache.store import writing
from pipeline.errors import StorageError
from pipeline.packages.write import write_packages
from pipeline.stages.artifacts import StageOutput

ATTEMPTS = 20
PAUSE_SECONDS = 1.0
"""The longest pause after another build has written between one's own files."""


def publish(build: Build, name: str | None = None) -> Path:
    """Copy the products of a build below its output folder, make its packages, and return the bundle's path.

    name: what the results are called, for several builds of one model and target. Each file is written
    atomically; a file that already has the right bytes is left alone. Raises StorageError if other builds
    keep publishing the same name.
    """
    out = build.config.out
    name = name or build.name
    folder, bundle = out / name, out / f"{name}.edgec"
    files = published_files(build, name)

    def packages() -> None:
        if build.config.package:
            write_packages(bundle, build.config.package, folder)

    with writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        place_together(files, packages)
    return bundle


def published_files(build: Build, name: str) -> dict[Path, tuple[StageOutput, str]]:
    """Return the products that `publish` places, and the name of each in its stage, by its path there."""
    packed, out = build.bundle, build.config.out
    found = () if build.brought is not None else (build.ranges,)
    parts = (build.float_model, *found, build.int8_model, build.engine, build.report)
    files: dict[Path, tuple[StageOutput, str]] = {
        out / name / file: (part, file) for part in parts for file in part.names
    }
    files[out / f"{name}.edgec"] = packed, packed.path.name
    return files


def place_together(files: Mapping[Path, tuple[StageOutput, str]], then: Callable[[], None]) -> None:
    """Place all files, and do what follows from them, so that in the end all are of one build.

    Needs no lock, which a shared folder may not have. Whoever writes last looks at all files afterwards, and
    begins again if another build has written any of them. So no folder ends with files of two builds.
    """
    for _ in range(ATTEMPTS):
        for destination, (written, name) in files.items():
            place(written, name, destination)
        then()
        if all(_is_placed(written, name, file) for file, (written, name) in files.items()):
            return
        time.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - it only parts those that write at once
    folder = next(iter(files)).parent
    raise StorageError(
        f"Another build keeps writing to {folder}. Give each build its own folder (--out), or run them one"
        " after the other."
    )


def place(written: StageOutput, name: str, destination: Path) -> None:
    """Copy a stage's file to `destination` atomically, unless the same bytes are already there.

    The copy's digest is checked. Raises StorageError if it differs from what the stage wrote.
    """
    wanted = written.product.digests[name]
    if _is_placed(written, name, destination):
        return
    with replacing(destination) as scratch:
        shutil.copy2(written.file(name), scratch)
        if file_digest(scratch) != wanted:
            raise StorageError(
                f"{written.file(name)} was damaged before it could be copied to {destination}. Build again:"
                " the damaged result is then replaced."
            )


def _is_placed(written: StageOutput, name: str, destination: Path) -> bool:
    try:
        return destination.is_file() and file_digest(destination) == written.product.digests[name]
    except OSError:  # what cannot be read is replaced
        return False
