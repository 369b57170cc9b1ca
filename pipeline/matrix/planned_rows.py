"""The rows of a matrix: every combination of its axes that no filter leaves out, with its settings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from calibration.errors import did_you_mean
from calibration.recipe import QuantRecipe
from pipeline.build.request import AUTO
from pipeline.config import BuildConfig, relative_to, validated
from pipeline.errors import UsageError
from pipeline.known_devices import find_device
from pipeline.matrix.matrix_config import MatrixConfig, RowFilter, repeated
from pipeline.models.foreign.description import is_foreign
from pipeline.models.zoo import find_model
from pipeline.reading.reading_limits import MATRIX_PATTERN, MATRIX_PATTERNS, MATRIX_ROWS
from targets.errors import UnknownTarget
from targets.registry import REACHED, names

AXES = ("model", "recipe", "target", "device")
DEFAULT = "default"
"""The recipe that a build takes if none is named."""
NO_DEVICE = "none"
OTHER_LETTERS = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class PlannedRow:
    """One build of a matrix. device: "none" for one without."""

    model: str
    recipe: str
    target: str
    device: str
    config: BuildConfig

    @property
    def name(self) -> str:
        """The name of the row and of its results."""
        recipe = "" if self.recipe == DEFAULT else f"-{self.recipe}"
        device = "" if self.device == NO_DEVICE else f"@{_printed(self.device.removeprefix('ssh://'))}"
        return _printed(f"{self.model}-{self.target}{recipe}") + device

    def matches(self, wanted: RowFilter) -> bool:
        """Whether the row matches the patterns of all axes in the filter."""
        return all(_matches(getattr(self, axis), getattr(wanted, axis)) for axis in AXES)


def planned_rows(matrix: MatrixConfig, file: Path) -> list[PlannedRow]:
    """Return the rows in the order that shares most stages: by model, recipe, target, device.

    Raises UsageError for a name that does not exist, settings that are not allowed, filters that fit nothing.
    """
    named = _named(matrix.models, file)
    _refuse_too_many(matrix, len(named), file)
    models = {name: _settings(name, given, file) for name, given in named.items()}
    _refuse_unknown(matrix, file)
    shared = relative_to(matrix.build, file.parent, BuildConfig)
    combined = (
        (model, recipe, target, device)
        for model, recipe, target in product(models, matrix.recipes, matrix.targets)
        for device in _devices(matrix, target)
    )
    rows = [
        PlannedRow(*row, config=_config(row, _merged(shared, models[row[0]]), matrix.out, file))
        for row in dict.fromkeys(combined)
    ]
    _refuse_dead_filters(matrix, rows, file)
    kept = [row for row in rows if _is_kept(row, matrix)]
    if not kept:
        raise UsageError(f"{file}: include and exclude leave no row of {len(rows)}. Relax them.")
    if twice := repeated([row.name for row in kept]):
        raise UsageError(
            f"{file}: two rows are called {twice}. Name the models: [models.one] and [models.two]."
        )
    return kept


def only(rows: Sequence[PlannedRow], asked: Sequence[str]) -> list[PlannedRow]:
    """Return the rows that match `--only AXIS=PATTERN`: any pattern of an axis, for every axis given.

    Raises UsageError for another form, an unknown axis, and a pattern that matches no row.
    """
    wanted: dict[str, list[str]] = {}
    for text in asked:
        axis, equals, pattern = text.partition("=")
        if not equals or not pattern or axis not in AXES:
            raise UsageError(
                f"--only is {text!r}.{did_you_mean(axis, AXES)} Write AXIS=PATTERN, such as model=resnet*;"
                f" axes: {', '.join(AXES)}."
            )
        if not any(fnmatchcase(getattr(row, axis), pattern) for row in rows):
            there = list(dict.fromkeys(getattr(row, axis) for row in rows))
            raise UsageError(
                f"--only {text} matches no row.{did_you_mean(pattern, there)} There are: {', '.join(there)}."
            )
        wanted.setdefault(axis, []).append(pattern)
    kept = [row for row in rows if row.matches(RowFilter(**wanted))]
    if not kept:
        raise UsageError("No row matches all --only filters. Leave one out, or list the rows with --list.")
    return kept


def _named(models: list[str] | dict[str, dict[str, Any]], file: Path) -> Mapping[str, dict[str, Any]]:
    """Return the settings of each model by its name in the matrix; that of a file is the file's stem."""
    if isinstance(models, dict):
        return models
    stems = [Path(name).stem if is_foreign(name) else name for name in models]
    if twice := repeated(stems):
        raise UsageError(f"{file}: two models are called {twice}. Name them: [models.one] and [models.two].")
    return {stem: {"model": name} for stem, name in zip(stems, models, strict=True)}


def _refuse_too_many(matrix: MatrixConfig, models: int, file: Path) -> None:
    """Raise UsageError for more rows or patterns than are read, before any row is made."""
    rows = models * len(matrix.recipes) * len(matrix.targets) * max(1, len(matrix.devices))
    if rows > MATRIX_ROWS:
        raise UsageError(
            f"{file} has {rows:,} rows: models x recipes x targets x devices. Up to {MATRIX_ROWS:,} are"
            " allowed: divide it into several files."
        )
    filters = (*matrix.include, *matrix.exclude)
    patterns = sum(_count(getattr(one, axis)) for one in filters for axis in AXES)
    if patterns > MATRIX_PATTERNS:
        raise UsageError(
            f"{file}: include and exclude have {patterns:,} patterns; up to {MATRIX_PATTERNS} are allowed."
            " Write * or [ab] for several names."
        )
    given = (pattern for one in filters for axis in AXES for pattern in _patterns(getattr(one, axis)))
    if long := next((pattern for pattern in given if len(pattern) > MATRIX_PATTERN), None):
        raise UsageError(
            f"{file}: the pattern {long[:20]!r}... has {len(long):,} characters; up to {MATRIX_PATTERN} are"
            " allowed. Write * for a part of it."
        )


def _count(patterns: str | list[str]) -> int:
    return int(patterns != "*") if isinstance(patterns, str) else len(patterns)


def _patterns(patterns: str | Sequence[str]) -> Sequence[str]:
    return [patterns] if isinstance(patterns, str) else patterns


def _settings(name: str, given: Mapping[str, Any], file: Path) -> dict[str, Any]:
    return relative_to({"model": name, **given}, file.parent, BuildConfig)


def _refuse_unknown(matrix: MatrixConfig, file: Path) -> None:
    """Raise UsageError for a target, recipe or device that does not exist."""
    for recipe in set(matrix.recipes) - {DEFAULT, AUTO}:
        QuantRecipe.parse(recipe)
    for target in matrix.targets:
        if target not in names():
            raise UnknownTarget(target, names())
    for device in set(matrix.devices) - {NO_DEVICE}:
        find_device(device)
    for device, served in matrix.devices.items() if isinstance(matrix.devices, dict) else ():
        for target in (one for one in served if one not in matrix.targets):
            raise UsageError(
                f"{file}: devices.{device} is for {target!r}, which is not a target here:"
                f" {', '.join(matrix.targets)}.{did_you_mean(target, matrix.targets)}"
            )


def _devices(matrix: MatrixConfig, target: str) -> Sequence[str]:
    """Return the devices on which a target is built; "none" where none is given for it."""
    if isinstance(matrix.devices, dict):
        found = [device for device, served in matrix.devices.items() if target in served]
    else:
        found = list(matrix.devices) if target in REACHED else []
    return found or [NO_DEVICE]


def _config(row: tuple[str, str, str, str], values: Mapping[str, Any], out: Path, file: Path) -> BuildConfig:
    model, recipe, target, device = row
    for key in ("target", "device", "out"):
        if key in values:
            raise UsageError(
                f"{file}: {key} stands among the settings of builds. It belongs to the matrix: {key}"
                f"{'' if key == 'out' else 's'} at the top."
            )
    chosen: dict[str, Any] = {"target": target, "out": out}
    if device != NO_DEVICE:
        chosen["device"] = device
    if recipe != DEFAULT:
        chosen["calibration"] = {"recipe": recipe}
    config = validated(_merged(values, chosen), BuildConfig, f"{file}, model {model}")
    if not is_foreign(config.model):
        find_model(config.model)
    return config


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return two settings merged, tables key by key; where both have a value, the second one's."""
    found = dict(one)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if both else value
    return found


def _is_kept(row: PlannedRow, matrix: MatrixConfig) -> bool:
    included = not matrix.include or any(map(row.matches, matrix.include))
    return included and not any(map(row.matches, matrix.exclude))


def _refuse_dead_filters(matrix: MatrixConfig, rows: Sequence[PlannedRow], file: Path) -> None:
    """Raise UsageError for a filter that fits no row: it is misspelt, or left over."""
    for kind, filters in (("include", matrix.include), ("exclude", matrix.exclude)):
        for number, one in enumerate(filters, start=1):
            if not any(row.matches(one) for row in rows):
                said = ", ".join(_said(one))
                raise UsageError(
                    f"{file}: {kind} {number} ({said}) matches no row. Fix its pattern, or leave it out."
                )


def _said(one: RowFilter) -> Iterator[str]:
    for axis in AXES:
        if axis in one.model_fields_set:
            yield f"{axis} = {getattr(one, axis)!r}"


def _printed(text: str) -> str:
    """Replace characters that do not belong into a file's name by -."""
    return OTHER_LETTERS.sub("-", text)


def _matches(value: str, patterns: str | Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in _patterns(patterns))
