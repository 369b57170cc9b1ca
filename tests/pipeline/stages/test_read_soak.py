import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cache.digest import InputFile
from pipeline.errors import UsageError
from pipeline.progress import Silent
from pipeline.report.model.sustained_run import SustainedRun
from pipeline.stages.read_soak import ReadSoak
from targets.runtime.sustained.soak import Soaked

RECORD = Soaked(600.0, 9000, 15.0, (5.0, 4.9, 5.2), None, None, {}, None, "no sensor", "ab" * 32)
BUILT: Any = SimpleNamespace(file_digest="ab" * 32)


def run(folder: Path, text: str) -> SustainedRun:
    (folder / "soak.json").write_text(text)
    ReadSoak(InputFile(folder / "soak.json", "soak.json"), BUILT).run(folder, Silent())
    return SustainedRun.model_validate_json((folder / "sustained.json").read_text())


def test_what_the_device_wrote_is_what_the_report_reads(tmp_path: Path) -> None:
    assert run(tmp_path, json.dumps(asdict(RECORD))).sustained_p90_ms == (5.0, 4.9, 5.2)


def test_a_record_of_another_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the record of another engine \(cdcdcdcdcdcd, built here was abab"):
        run(tmp_path, json.dumps(asdict(replace(RECORD, engine_sha256="cd" * 32))))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seconds": 1}', "\x00"])
def test_a_file_that_is_not_a_record_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="is not a record of a soak"):
        run(tmp_path, text)


def test_a_record_of_before_names_no_engine_and_is_refused(tmp_path: Path) -> None:
    fields = asdict(RECORD)
    del fields["engine_sha256"]
    with pytest.raises(UsageError, match="of this version"):
        run(tmp_path, json.dumps(fields))
