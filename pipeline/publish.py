"""Puts what a build made where its user looks: out/<name>/ and out/<name>.edgec."""

import os
import shutil
from pathlib import Path

from pipeline.plan import Build
from pipeline.store import Product, writing


def publish(build: Build) -> Path:
    """Place the products of a whole build below its output folder and return the bundle's path.

    Each file appears complete or not at all; files that are already there are left alone.
    """
    out = build.config.out
    folder, bundle = out / build.name, out / f"{build.name}.edgec"
    with writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        for product in (
            build.float_model,
            build.ranges,
            build.int8_model,
            build.engine.product,
            build.report,
        ):
            for name in product.digests:
                place(product, name, folder / name)
        place(build.bundle, bundle.name, bundle)
    return bundle


def place(product: Product, name: str, destination: Path) -> None:
    """Copy a product's file, completely or not at all, unless it is there already."""
    source = product.file(name)
    if destination.exists():
        have, want = destination.stat(), source.stat()
        if (have.st_size, have.st_mtime_ns) == (want.st_size, want.st_mtime_ns):
            return
    scratch = destination.with_name(f".{destination.name}.{os.getpid()}")
    try:
        shutil.copy2(source, scratch)
        scratch.replace(destination)
    finally:
        scratch.unlink(missing_ok=True)
