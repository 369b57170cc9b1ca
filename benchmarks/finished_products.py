"""What a store holds, and since when: a product that is made again is written again."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.cache.product import MANIFEST


def finished(out: Path, stages: Iterable[str] = ("*",)) -> dict[Path, int]:
    """Return the folders of finished products of these stages, and when each was written, in ns."""
    found = (path for stage in stages for path in out.glob(f"store/products/{stage}/*/{MANIFEST}"))
    return {path.parent: path.stat().st_mtime_ns for path in found}
