"""docs/settings.md: every key of a settings file, from the model that reads it."""

from collections.abc import Iterator
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.config import BuildConfig

HEAD = """# Settings

Everything that decides a build can stand in one TOML file: `make build CONFIG=edgec.toml`, or
`edgec build --config edgec.toml`. Options of the command line take precedence. Paths are relative to the
file. A wrong key or value is refused and named, with what is allowed. `edgec settings` prints this page.
"""

KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def settings_page() -> str:
    """Return the page as Markdown: a table for each table of the file."""
    return HEAD + "".join(_tables(BuildConfig, "At the top"))


def _tables(kind: type[BaseModel], title: str) -> Iterator[str]:
    rows, inner = [], []
    for key, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner.append((field.annotation, f"[{key}]: {_sentence(field)}"))
        else:
            rows.append(f"| `{key}` | {_kind(field.annotation)} | {_default(field)} | {_sentence(field)} |\n")
    yield f"\n## {title}\n\n| key | value | if absent | what it decides |\n|---|---|---|---|\n"
    yield "".join(rows)
    for table, words in inner:
        yield from _tables(table, words)


def _sentence(field: FieldInfo) -> str:
    assert field.description, "a setting without a docstring"  # noqa: S101 - a test reads this page
    return " ".join(field.description.split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    default = field.default
    if default is None:
        return "none"
    text = str(default).lower() if isinstance(default, bool) else str(default)
    return f"`{text}`"


def _kind(annotation: Any) -> str:  # noqa: ANN401 - any type may stand at a field
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_kind(one) for one in inside if one is not NoneType)
    if origin is Annotated:
        return _kind(inside[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inside)
    if origin is tuple:
        return f"list: {_kind(inside[0])}"
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "path"
    return KINDS[annotation]
