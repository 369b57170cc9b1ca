import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cache.digest import InputFile
from pipeline.errors import UsageError
from pipeline.progress import Silent
from pipeline.report.model.power_mode_sweep import PowerModeSweep
from pipeline.stages.read_power_modes import ReadPowerModes

RECORD: dict[str, Any] = {
    "results": {},
    "not_in_force": {"15W": ["GPU MAX_FREQ is 1, not 2"]},
    "left": ["7W"],
    "around": {"engine": {"sha256": "ab" * 32, "choice": "{}"}, "seconds": 60.0, "form": 3},
}
BUILT: Any = SimpleNamespace(file_digest="ab" * 32)


def run(folder: Path, text: str) -> PowerModeSweep:
    (folder / "given.json").write_text(text)
    ReadPowerModes(InputFile(folder / "given.json", "given.json"), BUILT).run(folder, Silent())
    return PowerModeSweep.model_validate_json((folder / "power_modes.json").read_text())


def test_what_the_device_wrote_is_what_the_report_reads(tmp_path: Path) -> None:
    assert run(tmp_path, json.dumps(RECORD)).left == ("7W",)


def test_a_record_of_another_engine_is_refused(tmp_path: Path) -> None:
    other = {**RECORD, "around": {**RECORD["around"], "engine": {"sha256": "cd" * 32}}}
    with pytest.raises(UsageError, match=r"the record of another engine \(cdcdcdcdcdcd, built here was abab"):
        run(tmp_path, json.dumps(other))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": {}}', "\x00"])
def test_a_file_that_is_not_a_record_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        UsageError, match=r"is not a record of power modes.*power_modes.json that `./run power-"
    ):
        run(tmp_path, text)
