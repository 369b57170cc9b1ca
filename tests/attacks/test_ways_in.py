"""Every way to a bundle's content goes through the one function that verifies it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

READERS = {
    "targets/runtime/bundle/install.py",  # on devices
    "pipeline/bundle/contents.py",  # on the build machine
}
"""Who may call what reads bundles."""

UNPACKERS = {
    "pipeline/bundle/pack.py",  # writes bundles
    "pipeline/models/weights/content.py",  # tells old weights of torch, which are a tar, what they are
}
"""Who may import tarfile."""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{name.name}" for name in node.names)


def importing(*wanted: str) -> set[str]:
    files = [path for top in ("pipeline", "targets", "calibration") for path in (ROOT / top).rglob("*.py")]
    return {
        path.relative_to(ROOT).as_posix()
        for path in files
        if any(f".{name}".endswith(tuple(f".{one}" for one in wanted)) for name in imports(path))
    }


def test_bundles_are_read_by_these_alone() -> None:
    assert importing("bundle.archive", "archive.opened", "archive.verify", "archive.contents") == READERS


def test_tars_are_opened_by_these_alone() -> None:
    assert importing("tarfile") == UNPACKERS
