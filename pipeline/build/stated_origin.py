"""Checks that a bundle's provenance statement and SBOM agree with its report, settings and files."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import BundleError
from pipeline.reading.json_text import bounded_json
from pipeline.reading.reading_limits import STATEMENT_BYTES
from pipeline.report.model.build_report import Report
from pipeline.stages.supply_chain import PROVENANCE, SBOM, provenance, sbom, stated_code, stated_digests
from targets.runtime.bundle.archive import OpenBundle


def check_origin(held: OpenBundle, bundle: Path, report: Report, settings: str) -> None:
    """Compare the provenance statement and the SBOM of a bundle with its verified files.

    Both follow from the report, the settings and the digests in the manifest: both are made again, and every
    field is compared. Which sources of edgec built is stated there alone: building again tells. Bundles of
    before have neither. Raises BundleError that names the first difference.
    """
    files = held.manifest.files
    if PROVENANCE in files:
        others = {name: digest for name, digest in files.items() if name not in (PROVENANCE, SBOM)}
        statement = held.read(PROVENANCE, STATEMENT_BYTES)
        _check_subject(statement, others, bundle)
        made = provenance(report, settings, others, code_of(held, bundle))
        _compare(PROVENANCE, statement, made, bundle)
    if SBOM in files:
        engine = held.manifest.engine
        made = sbom(report, engine, files.get(engine, report.subject.engine_digest))
        _compare(SBOM, held.read(SBOM, STATEMENT_BYTES), made, bundle)


def code_of(held: OpenBundle, bundle: Path) -> str | None:
    """Return the digest of the sources of edgec that a bundle states; None if it states none."""
    if PROVENANCE not in held.manifest.files:
        return None
    try:
        return stated_code(held.read(PROVENANCE, STATEMENT_BYTES))
    except ValueError as error:
        raise BundleError(f"{bundle}: {PROVENANCE} cannot be used: {error}.") from error


def _check_subject(statement: bytes, files: Mapping[str, str], bundle: Path) -> None:
    try:
        stated = stated_digests(statement)
    except ValueError as error:
        raise BundleError(f"{bundle}: {PROVENANCE} cannot be used: {error}.") from error
    if stated != files:
        wrong = sorted(name for name in stated.keys() | files.keys() if stated.get(name) != files.get(name))
        raise BundleError(f"{bundle}: {PROVENANCE} is about another {wrong[0]} than the one in the bundle.")


def _compare(name: str, held: bytes, made: bytes, bundle: Path) -> None:
    try:
        found = bounded_json(held)
    except ValueError as error:
        raise BundleError(f"{bundle}: {name} cannot be used: {error}.") from error
    for place, stated, follows in _differences(found, json.loads(made), ""):
        raise BundleError(
            f"{bundle}: {name} states {place} = {_short(stated)}, but from the bundle's report, settings and"
            f" files follows {_short(follows)}. Get the bundle again from its builder."
        )


def _differences(one: object, other: object, place: str) -> Iterator[tuple[str, object, object]]:
    """Yield the places at which two JSON documents differ, with what each has there."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(key), other.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _differences(*pair, f"{place}[{number}]")
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield place, one, other


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
