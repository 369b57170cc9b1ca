"""Rebuilds a bundle from the settings that it holds, and compares every file."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.build.stated_origin import check_origin, code_of
from pipeline.bundle.contents import opened
from pipeline.config import BuildConfig, load_config
from pipeline.errors import BundleError
from pipeline.progress import Progress
from pipeline.reading.json_text import bounded_json
from pipeline.reading.reading_limits import REPORT_BYTES, SETTINGS_BYTES
from pipeline.report.model.build_report import Report
from pipeline.stages.bundle import SETTINGS
from targets.runtime.bundle.archive import OpenBundle
from targets.runtime.bundle.manifest import Manifest


@dataclass(frozen=True)
class Rebuilt:
    """The result of a rebuild."""

    same_bytes: bool
    different: tuple[str, ...]  # files that differ, and manifest.json if other entries of it differ
    reasons: tuple[str, ...]  # inputs, tools and machines that differ from those of the first build


def rebuild(bundle: Path, inputs: Mapping[str, str | Path | None], progress: Progress) -> Rebuilt:
    """Build `bundle` again in an empty temporary folder, and compare.

    inputs: the paths of "model" (if it is a file), "data", "checkpoint" and "calibration.quantized"; None for
    the model's own. Raises BundleError if the bundle is damaged, and whatever a build raises.
    """
    with opened(bundle) as held:
        return _rebuilt(held, bundle, inputs, progress)


def _rebuilt(
    held: OpenBundle, bundle: Path, inputs: Mapping[str, str | Path | None], progress: Progress
) -> Rebuilt:
    settings = _settings(held, bundle)
    check_origin(held, bundle, _report(held, bundle), held.read(SETTINGS).decode())
    with tempfile.TemporaryDirectory(prefix="edgec-rebuild-") as scratch:
        given = {name: place for name, place in inputs.items() if place is not None}
        options = {**settings, **given, "out": Path(scratch)}
        build = Build(load_config(BuildConfig, None, options), progress)
        with opened(build.bundle.path) as again:
            different = tuple(_differences(held.manifest, again.manifest))
            reasons = tuple(_reasons(_report(held, bundle), _report(again, bundle))) if different else ()
            if different and code_of(held, bundle) != code_of(again, bundle):
                reasons = (*reasons, "edgec's own code not the same")
            return Rebuilt(held.digest() == again.digest(), different, reasons)


def _settings(held: OpenBundle, bundle: Path) -> dict[str, object]:
    try:
        found = bounded_json(held.read(SETTINGS, SETTINGS_BYTES))
    except ValueError as error:
        raise BundleError(f"{bundle}: {SETTINGS} is not valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise BundleError(f"{bundle}: {SETTINGS} is not a JSON object of settings.")
    return found


def _report(held: OpenBundle, bundle: Path) -> Report:
    return Report.parse(held.read("report.json", REPORT_BYTES), f"{bundle}: report.json")


def _differences(before: Manifest, after: Manifest) -> list[str]:
    before = replace(before, release=after.release, expires=after.expires, confirm=after.confirm)
    files = sorted(before.files.keys() | after.files.keys())
    changed = [name for name in files if before.files.get(name) != after.files.get(name)]
    return changed + (["manifest.json"] if before != after and not changed else [])


def _reasons(before: Report, after: Report) -> list[str]:
    """Name the inputs, tools and machines that differ from those of the first build."""
    inputs = {
        "checkpoint": "checkpoint_digest",
        "evaluation images": "evaluation_digest",
        "calibration images": "calibration_digest",
        "float ONNX": "model_digest",
        "INT8 ONNX": "int8_model_digest",
    }
    found = [
        f"{what} not the same"
        for what, field in inputs.items()
        if getattr(before.subject, field) != getattr(after.subject, field)
    ]
    tools = sorted(before.tools.keys() | after.tools.keys())
    found += [
        f"{tool} was {before.tools.get(tool, 'not used')} and is {after.tools.get(tool, 'not used')}"
        for tool in tools
        if before.tools.get(tool) != after.tools.get(tool)
    ]
    if before.machines != after.machines:
        then, now = (", ".join(m.description for m in one.machines) for one in (before, after))
        found.append(f"the machine was {then} and is now {now}")
    return found
