"""The settings of a build as they were given: to check them takes longer than to compare them."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cache.code_at_start import Identity, identity
from pipeline.cache.digest import value_digest
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import SETTINGS_BYTES
from pipeline.reading.toml_file import bounded_toml

if TYPE_CHECKING:
    from pipeline.config import BuildConfig


@dataclass(frozen=True)
class GivenSettings:
    """A TOML file, if one is given, and the options of the command line by their key in it."""

    file: Path | None
    options: Mapping[str, object]

    def load(self) -> "BuildConfig":
        """Return the settings. Raises UsageError for values that are not allowed."""
        from pipeline.config import BuildConfig, load_config

        return load_config(BuildConfig, self.file, self.options)

    @property
    def digest(self) -> str:
        """Return the SHA-256 over the file's place and bytes and the options. Raises OSError."""
        options = sorted((key, repr(value)) for key, value in self.options.items() if value is not None)
        if self.file is None:
            return value_digest(options)
        text = hashlib.sha256(read_plain(self.file, SETTINGS_BYTES)).hexdigest()
        return value_digest([options, os.path.abspath(self.file), text])  # noqa: PTH100 - links stay

    @property
    def out(self) -> Path:
        """Return the folder of results, as the checked settings have it. Raises OSError or ValueError."""
        given, folder = self.options.get("out"), Path()
        if given is None and self.file is not None:
            given, folder = bounded_toml(self.file).get("out"), self.file.parent
        return folder / os.path.expanduser(str(given)) if given is not None else Path("out")  # noqa: PTH111

    @property
    def identity(self) -> Identity | None:
        """Return the identity of the file. Raises OSError."""
        return None if self.file is None else identity(self.file.stat())
