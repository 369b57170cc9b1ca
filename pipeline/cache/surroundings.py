"""What decides a build besides its settings and files: our code, Python, the packages and the machine."""

import os
import shutil
import sys
from pathlib import Path

from pipeline.cache.code_at_start import identity
from pipeline.cache.digest import value_digest
from pipeline.cache.owner import this_host
from pipeline.cache.remembered_code import identities
from targets.processor import cpu_flags, cpu_name

VARIABLES = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
"""Environment variables that name folders of the user, besides those that begin with EDGEC_."""
IMPORTED = (".py", ".so", ".pth", ".dist-info", ".egg-info")
EMULATOR = "qemu-aarch64"
"""The only program outside the packages whose presence decides how engines are run."""


def surroundings() -> str:
    """Return the SHA-256 over all of this. It also changes for much that decides nothing.

    Code counts by the identities of its files. Of the folders that Python imports from, all names count:
    those of installed packages hold their versions.
    """
    variables = sorted(
        (name, value) for name, value in os.environ.items() if name.startswith("EDGEC_") or name in VARIABLES
    )
    found = [
        identities(),
        sys.version,
        [[folder, _names(folder)] for folder in sys.path],
        [this_host(), cpu_name(), sorted(cpu_flags())],
        _emulator(),
        variables,
        str(Path.cwd()),
    ]
    return value_digest(found)


def _names(folder: str) -> list[str]:
    """Return what Python may import from a folder; nothing for an archive, or where there is no folder.

    Of a folder that is not for packages, such as the one that the program runs in, only files of code.
    """
    try:
        names = sorted(entry.name for entry in Path(folder or ".").iterdir())
    except OSError:
        return []
    return names if folder.endswith("-packages") else [name for name in names if name.endswith(IMPORTED)]


def _emulator() -> list[object]:
    found = shutil.which(EMULATOR)
    return [found, list(identity(Path(found).stat()))] if found else []
