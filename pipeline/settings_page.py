"""docs/settings.md: every key of a settings file, from the model that reads it and its docstrings."""

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
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
    said = _sentences(kind)
    for key, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner.append((field.annotation, f"[{key}]: {said[key]}"))
        else:
            rows.append(f"| `{key}` | {_kind(field.annotation)} | {_default(field)} | {said[key]} |\n")
    yield f"\n## {title}\n\n| key | value | if absent | what it decides |\n|---|---|---|---|\n"
    yield "".join(rows)
    for table, words in inner:
        yield from _tables(table, words)


@cache
def _sentences(kind: type[BaseModel]) -> dict[str, str]:
    """Return the docstring behind each setting, also those of the models that `kind` extends.

    pydantic could read them too, and would at each start of the program.
    """
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if issubclass(one, BaseModel) and one.__module__ == kind.__module__:
            (body,) = ast.parse(inspect.getsource(one)).body
            assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class
            for setting, behind in pairwise(body.body):
                match setting, behind:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ):
                        found[name] = " ".join(text.split()).replace("|", "\\|")
    return found


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
