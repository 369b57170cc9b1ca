"""Reading and checking bundles on the build machine, with the code that runs on devices."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import BundleError, NoSuchBundleError
from targets.runtime.bundle import archive
from targets.runtime.bundle.archive import ArchiveError, OpenBundle, Verified
from targets.runtime.bundle.signature import PublicKey


@contextmanager
def opened(bundle: Path, trusted: Sequence[PublicKey] = ()) -> Iterator[OpenBundle]:
    """Open a bundle, check its signature and compare every file with the manifest; nothing is written or run.

    With `trusted` keys one of them must have signed it. Raises BundleError naming what is wrong.
    """
    try:
        with archive.opened(bundle, trusted) as held:
            yield held
    except ArchiveError as error:
        absent = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
        kind = NoSuchBundleError if isinstance(error.__cause__, absent) else BundleError
        raise kind(str(error)) from error


def verify(bundle: Path, trusted: Sequence[PublicKey] = ()) -> Verified:
    """Check a bundle as `opened` does."""
    with opened(bundle, trusted) as held:
        return held.verified
