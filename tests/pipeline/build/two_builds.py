"""Builds that publish the same names."""

from pathlib import Path

from pipeline.cache.digest import file_digest
from pipeline.cache.product import Product
from pipeline.stages.artifacts import StageOutput


def two_builds(folder: Path) -> list[dict[Path, tuple[StageOutput, str]]]:
    """Return the files of two builds that publish the same two names."""
    builds = []
    for build in ("one", "two"):
        made = folder / build
        made.mkdir()
        for name in ("model.engine", "report.json"):
            (made / name).write_text(build + name)
        digests = {name: file_digest(made / name) for name in ("model.engine", "report.json")}
        output = StageOutput(Product("compile", "0" * 64, made, digests, cached=True))
        builds.append({folder / name: (output, name) for name in digests})
    return builds
