"""The file of a matrix: its axes, the filters of rows, and the budgets.

Paths are relative to the file.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.config import Section, read_toml, relative_to, validated
from pipeline.errors import UsageError
from pipeline.report.model.matrix_report import Budget

Named = list[str] | dict[str, dict[str, Any]]
"""Names, or a table of settings for each."""


class RowFilter(Section):
    """Patterns of values by axis, as the shell's *, ? and [ab]. What is not given matches every value."""

    model: str | list[str] = "*"
    """For the names of models in this file."""
    recipe: str | list[str] = "*"
    """For the names of recipes."""
    target: str | list[str] = "*"
    """For the names of targets."""
    device: str | list[str] = "*"
    """For devices; "none" is a build without one."""


class MatrixConfig(Section):
    """All settings of a matrix."""

    models: Named
    """Names of `edgec models` and .onnx files; or a table for each, with settings of its builds."""
    targets: list[str] = Field(min_length=1)
    """Names of `edgec targets`."""
    recipes: list[str] = Field(default=["default"], min_length=1)
    """Names of `edgec recipes`; "default" is what a build takes without one."""
    devices: list[str] | dict[str, list[str]] = Field(default_factory=dict)
    """Devices for all targets that are reached over SSH; or a table: a device, and the targets it is."""
    include: list[RowFilter] = Field(default_factory=list)
    """If there are any, a row has to match one of them."""
    exclude: list[RowFilter] = Field(default_factory=list)
    """A row that matches one of them is left out."""
    budgets: list[Budget] = Field(default_factory=list)
    """The best row is looked for within each of them."""
    build: dict[str, Any] = Field(default_factory=dict)
    """Settings of all builds, as in the file of one."""
    out: Path = Path("out")
    """Folder of everything that is written."""


def load_matrix(file: Path, out: Path | None) -> MatrixConfig:
    """Read a matrix; `out` takes precedence. Raises UsageError that names what is wrong."""
    values = relative_to(read_toml(file), file.parent, MatrixConfig)
    found = validated(values if out is None else values | {"out": out}, MatrixConfig, str(file))
    if not found.models:
        raise UsageError(f'{file}: models names none. Give some: models = ["resnet20-fashion"]')
    if twice := repeated([one.name for one in found.budgets]):
        raise UsageError(f"{file}: two budgets are called {twice!r}. Give each a name of its own.")
    return found


def repeated(names: Sequence[str]) -> str | None:
    """Return the first name that is there more than once."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
