"""Reads a record that a bundle's programs wrote on a device, and refuses that of another engine."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.reading.json_text import check_values
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import REPORT_BYTES
from pipeline.report.record import Record
from targets.validation_errors import few_errors

AnyRecord = TypeVar("AnyRecord", bound=Record)


def read_device_record(path: Path, kind: type[AnyRecord], setting: str, what: str, program: str) -> AnyRecord:
    """Return the record. Raises UsageError with the setting and the program that writes such records."""
    try:
        content = read_plain(path, REPORT_BYTES)
        check_values(content)
        return kind.model_validate_json(content)
    except (OSError, ValueError) as error:
        wrong = few_errors(error) if isinstance(error, ValidationError) else []
        why = wrong[0]["msg"].lower() if wrong else str(error)[:200]
        raise UsageError(
            f"{setting} is {path}, which is not a record of {what}: {why}. Give"
            f" the {setting}.json that `./run {program}` of this version wrote on the device."
        ) from error


def refuse_another_engine(path: Path, setting: str, program: str, of: str, built: str) -> None:
    """Raise UsageError unless both digests are of the same engine."""
    if of != built:
        raise UsageError(
            f"{setting} is {path}, the record of another engine ({of[:12]}, built here was "
            f"{built[:12]}). Run `./run {program}` with this bundle."
        )
