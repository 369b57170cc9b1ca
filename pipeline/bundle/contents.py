"""Reading and checking bundles on the build machine, with the code that runs on devices."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import BundleError
from targets.runtime.bundle import archive
from targets.runtime.bundle.archive import ArchiveError, Verified
from targets.runtime.bundle.manifest import Manifest
from targets.runtime.bundle.signature import PublicKey


def read_entry(bundle: Path, name: str) -> bytes:
    """Return the file `name`, relative to the bundle's top folder. Raises BundleError."""
    with _refusals():
        return archive.read_entry(bundle, name)


def read_manifest(bundle: Path) -> Manifest:
    """Return the bundle's manifest. Raises BundleError."""
    with _refusals():
        return archive.read_manifest(bundle)


def verify(bundle: Path, trusted: Sequence[PublicKey] = ()) -> Verified:
    """Check the signature and compare every file with the manifest; nothing is written or run.

    With `trusted` keys the bundle must be signed with one of them. Raises BundleError naming what is wrong.
    """
    with _refusals():
        return archive.verify(bundle, trusted)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        raise BundleError(str(error)) from error
