"""Files beyond the limits of what reads settings, records and the answers of boards."""

from pathlib import Path

from pipeline.build.parts import RECORD, read_part
from pipeline.build.requested_unit import REQUESTS, read_request
from pipeline.cache.product import MANIFEST, read_stored
from pipeline.config import BuildConfig, load_config
from pipeline.data.classes import read_classes
from pipeline.known_devices import known_devices
from pipeline.matrix.matrix_config import load_matrix
from pipeline.reading.reading_limits import (
    NAMES_BYTES,
    REPORT_BYTES,
    SETTINGS_BYTES,
)
from pipeline.report.model.build_report import Report
from targets.reach.answer_limits import ANSWER_BYTES, ANSWER_VALUES
from targets.reach.answers import json_answer, sensible
from tests.attacks.limits.beyond_limits import (
    BY_BYTES,
    DEEP,
    NO_NEST,
    NO_PICTURE,
    Limits,
    json_limits,
    sized,
    text,
)


def settings(path: Path) -> object:
    return load_config(BuildConfig, path, {})


def answer(path: Path) -> object:
    with sensible("board", "it"):
        return json_answer(path.read_text())


TEXTS: Limits = {
    "settings": {
        "bytes": sized(settings, "x.toml", SETTINGS_BYTES + 1),
        "elements": BY_BYTES,
        "depth": text(settings, "x.toml", ".".join("a" * 33) + "=1"),
        "pixels": NO_PICTURE,
    },
    "matrix": {
        "bytes": sized(lambda path: load_matrix(path, None), "matrix.toml", SETTINGS_BYTES + 1),
        "elements": BY_BYTES,
        "depth": text(lambda path: load_matrix(path, None), "matrix.toml", f"models={DEEP}"),
        "pixels": NO_PICTURE,
    },
    "devices": {
        "bytes": sized(known_devices, "devices.toml", SETTINGS_BYTES + 1),
        "elements": BY_BYTES,
        "depth": text(known_devices, "devices.toml", f"pi={DEEP}"),
        "pixels": NO_PICTURE,
    },
    "part": json_limits(lambda path: read_part(path.parent), RECORD, REPORT_BYTES),
    "report": json_limits(Report.load, "report.json", REPORT_BYTES),
    "stored entry": json_limits(
        lambda path: read_stored("answer", path.parent), f"{'0' * 32}/{MANIFEST}", NAMES_BYTES
    ),
    "unit": {
        **json_limits(
            lambda path: read_request(path.parent.parent, "0a"), f"{REQUESTS}/0a.json", SETTINGS_BYTES
        ),
        "elements": BY_BYTES,
    },
    "tuned": {
        "bytes": "it is this user's",
        "elements": "it is this user's",
        "depth": "it is this user's",
        "pixels": NO_PICTURE,
    },
    "board": {
        "bytes": sized(answer, "board.json", ANSWER_BYTES + 1),
        "elements": text(answer, "board.json", f"[{'[],' * (ANSWER_VALUES // 2)}[]]"),
        "depth": text(answer, "board.json", DEEP),
        "pixels": NO_PICTURE,
    },
    "times": {
        "bytes": "as other answers of a board",
        "elements": "as other answers of a board",
        "depth": "as other answers of a board",
        "pixels": NO_PICTURE,
    },
    "class names": {
        "bytes": sized(lambda path: read_classes(path.parent), "classes.txt", NAMES_BYTES + 1),
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
}
