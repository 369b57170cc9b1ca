"""Puts what a build made where its user looks: out/<name>/ and out/<name>.edgec."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.cache.atomic import replacing
from pipeline.cache.digest import file_digest
from pipeline.cache.product import Product
from pipeline.cache.store import writing
from pipeline.errors import StorageError


def publish(build: Build, label: str = "") -> Path:
    """Place the products of a whole build below its output folder and return the bundle's path.

    label is added to their names, where there are several of them.

    Each file appears complete or not at all; files that are already there are left alone. Builds of the same
    name with other settings publish one after the other, so that what lies there in the end is of one.
    """
    packed = build.bundle
    found = () if build.brought is not None else (build.ranges,)
    parts = (build.float_model, *found, build.int8_model, build.engine, build.report)
    files = {file: part.product for part in parts for file in part.product.digests}
    out = build.config.out
    name = build.name + label
    folder, bundle = out / name, out / f"{name}.edgec"
    with writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        with _held(folder):
            for file, product in files.items():
                place(product, file, folder / file)
            place(packed.product, packed.path.name, bundle)
    return bundle


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Lock a folder, even one on a disk that can only be read. Waits for whoever holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def place(product: Product, name: str, destination: Path) -> None:
    """Copy a product's file, completely or not at all, unless those bytes are there already.

    What was copied is digested before it takes its place. Raises StorageError if it is not what was made.
    """
    wanted = product.digests[name]
    if destination.is_file() and file_digest(destination) == wanted:
        return
    with replacing(destination) as scratch:
        shutil.copy2(product.file(name), scratch)
        if file_digest(scratch) != wanted:
            raise StorageError(
                f"{product.file(name)} was damaged before it could be copied to {destination}. Build again:"
                " it is then made anew."
            )
