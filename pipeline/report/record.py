"""Versioned JSON records: how report.json and baselines are written, read back and refused."""

import re
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails

from pipeline.errors import NoSuchReportError, ReportError
from pipeline.reading.json_text import bounded_json
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import REPORT_BYTES, REPORT_VALUES
from targets.validation_errors import few_errors

AnyRecord = TypeVar("AnyRecord", bound="Record")
SHOWN = 80
"""Characters of a name or a value of a file that a message shows."""
Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Base of all records: unknown fields are refused, values are not coerced, nothing is infinite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        defer_build=True,  # compiled at the first use: nested ones not twice
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let the first wrong item of an array end it: a file may have millions, of a kilobyte each."""
        schema = handler(source)
        _end_at_the_first(schema)
        return schema

    def to_json(self) -> str:
        """Return the JSON text: indented, but an array of numbers stays on one line."""
        text = self.model_dump_json(indent=1)
        # A raw line break cannot be inside a JSON string, so only real arrays match.
        return (
            re.sub(r"\[\n[-+\d.eE,\s]*\]", lambda m: re.sub(r"\s+", "", m[0]).replace(",", ", "), text) + "\n"
        )

    def save(self, path: Path) -> None:
        """Write the record as JSON."""
        path.write_text(self.to_json(), encoding="utf-8")

    def replace(self, **changes: object) -> Self:
        """Return a validated copy with some fields changed."""
        return type(self).model_validate({**dict(self), **changes})


def _end_at_the_first(part: object, inside: bool = False) -> None:
    """Set fail_fast on the arrays of a record's schema; records inside it have done so themselves."""
    if isinstance(part, list | tuple):
        for one in part:
            _end_at_the_first(one, inside)
    elif isinstance(part, dict) and not (inside and part.get("type") == "model"):
        if part.get("type") in ("list", "tuple", "set", "frozenset"):
            part["fail_fast"] = True
        for one in part.values():
            _end_at_the_first(one, inside or part.get("type") == "model")


def load_record(record: type[AnyRecord], path: Path, what: str, version: int) -> AnyRecord:
    """Read a file that holds a record. Raises ReportError as `parse_record` does, or if it cannot be read."""
    try:
        content = read_plain(path, REPORT_BYTES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NoSuchReportError(
            f"cannot read the {what} {path}: {error.strerror}. `edgec build` writes it."
        ) from error
    except OSError as error:
        raise ReportError(f"cannot read the {what} {path}: {error.strerror or error}") from error
    return parse_record(record, content, str(path), what, version)


def parse_record(record: type[AnyRecord], content: bytes, source: str, what: str, version: int) -> AnyRecord:
    """Read a record that has a `schema_version`; `what` and `source` name it in messages.

    Raises ReportError: not JSON, not such a record, another version, wrong or unknown fields.
    """
    try:
        found = bounded_json(content, REPORT_VALUES)
    except ValueError as error:  # bad UTF-8 and bad JSON are ValueErrors
        raise ReportError(f"{source} is not a {what}: not JSON ({error})") from error
    if not isinstance(found, dict) or "schema_version" not in found:
        raise ReportError(f"{source} is not a {what} of edgec: it has no schema_version")
    if found["schema_version"] != version:
        raise ReportError(
            f"{source} has schema version {_short(found['schema_version'])}; this edgec reads version"
            f" {version}. Make it again, or read it with the edgec that wrote it."
        )
    try:
        record.model_validate(found, strict=False)  # of JSON text, each missing field keeps a copy of it all
        del found
        return record.model_validate_json(content)
    except ValidationError as error:
        unknown_first = sorted(few_errors(error), key=lambda e: e["type"] != "extra_forbidden")
        details = "; ".join(_explain(e) for e in unknown_first[:5]) or f"{error.error_count():,} wrong fields"
        raise ReportError(f"{source} is not a valid {what}: {details}") from error


def _short(value: object) -> str:
    """Return a value of a file as a message shows it, which may have megabytes there."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def _explain(error: ErrorDetails) -> str:
    where = ".".join(str(part)[:SHOWN] for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown field {where!r}"
    return f"{where}: {error['msg']}" if where else error["msg"]
