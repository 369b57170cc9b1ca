"""Copies the products of a build to out/<name>/ and out/<name>.edgec."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.cache.atomic import replacing
from pipeline.cache.digest import file_digest
from pipeline.cache.store import writing
from pipeline.errors import StorageError
from pipeline.packages.write import write_packages
from pipeline.stages.artifacts import StageOutput

NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


def publish(build: Build, name: str | None = None) -> Path:
    """Copy the products of a build below its output folder, make its packages, and return the bundle's path.

    name: what the results are called, for several builds of one model and target. Each file is written
    atomically; a file that already has the right bytes is left alone. Builds of the same name publish one
    after the other, so that all files in the folder are of the same build.
    """
    packed = build.bundle
    found = () if build.brought is not None else (build.ranges,)
    parts = (build.float_model, *found, build.int8_model, build.engine, build.report)
    files = {file: part for part in parts for file in part.names}
    out = build.config.out
    name = name or build.name
    folder, bundle = out / name, out / f"{name}.edgec"
    with writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        with _held(folder):
            for file, part in files.items():
                place(part, file, folder / file)
            place(packed, packed.path.name, bundle)
            if build.config.package:
                write_packages(bundle, build.config.package, folder)
    return bundle


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder, waiting for other processes; works on read-only disks too.

    Not on those of NFS, which lock no folders: there the builds that publish the same name at once are of the
    same bytes, or it is for the user to give them different folders.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(descriptor)


def place(written: StageOutput, name: str, destination: Path) -> None:
    """Copy a stage's file to `destination` atomically, unless the same bytes are already there.

    The copy's digest is checked. Raises StorageError if it differs from what the stage wrote.
    """
    wanted = written.product.digests[name]
    if destination.is_file() and file_digest(destination) == wanted:
        return
    with replacing(destination) as scratch:
        shutil.copy2(written.file(name), scratch)
        if file_digest(scratch) != wanted:
            raise StorageError(
                f"{written.file(name)} was damaged before it could be copied to {destination}. Build again:"
                " the damaged result is then replaced."
            )
