"""Writes packages of a bundle into a folder."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.bundle.contents import opened
from pipeline.cache.atomic import replacing
from pipeline.cache.store import writing
from pipeline.packages.kinds import check_kinds, writer_of
from targets.runtime.bundle.signature import PublicKey


def write_packages(
    bundle: Path,
    kinds: Sequence[str],
    folder: Path,
    trusted: Sequence[PublicKey] = (),
    option: str = "--out",
) -> list[Path]:
    """Write each kind of package of a verified bundle into `folder`/KIND, and return those folders.

    option: what chose the folder.
    A file that has the right bytes already is left alone. Raises UsageError for a kind that is unknown or
    cannot be made of this bundle, BundleError for a damaged bundle, StorageError.
    """
    check_kinds(tuple(kinds))
    with opened(bundle, trusted) as held:
        made = {kind: writer_of(kind)(held) for kind in kinds}
    for kind, files in made.items():
        with writing(folder, option):
            for name, data in files.items():
                _place(folder / kind / name, data)
    return [folder / kind for kind in kinds]


def _place(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_bytes() != data:
        with replacing(path) as scratch:
            scratch.write_bytes(data)
    path.chmod(0o755 if data.startswith(b"#!") else 0o644)
