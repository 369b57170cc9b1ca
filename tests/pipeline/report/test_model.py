import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import ReportError
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import NotMeasured, Verdict
from tests.pipeline.report.samples import report


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    report().save(tmp_path / "report.json")
    return tmp_path / "report.json"


def edit(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_a_report_survives_the_disk(saved: Path) -> None:
    assert Report.load(saved) == report()


def test_arrays_of_numbers_take_one_line_each(saved: Path) -> None:
    text = saved.read_text()
    assert json.loads(text) == json.loads(report().model_dump_json())
    runs = next(line for line in text.splitlines() if '"runs_ns"' in line)
    assert len(runs) > 4000
    assert len(text.splitlines()) < 4000


def test_what_was_not_measured_is_said_and_is_never_null_or_zero(tmp_path: Path) -> None:
    report(measured=False).save(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["latency_int8"] == {"kind": "not measured", "reason": "no board connected"}
    loaded = Report.load(tmp_path / "report.json")
    assert loaded.latency_int8 == NotMeasured(reason="no board connected")
    assert loaded.verdict is Verdict.INCONCLUSIVE


def test_an_unknown_field_is_named(saved: Path) -> None:
    with pytest.raises(ReportError, match="unknown field 'latencies'"):
        Report.load(edit(saved, latencies=[]))
    sizes = {**json.loads(saved.read_text())["sizes"], "enginee": 1}
    with pytest.raises(ReportError, match=r"unknown field 'sizes\.enginee'"):
        Report.load(edit(saved, latencies=[], sizes=sizes))


def test_another_schema_version_is_refused_before_its_fields_are_looked_at(saved: Path) -> None:
    with pytest.raises(ReportError, match="has schema version 2; this edgec reads version 1"):
        Report.load(edit(saved, schema_version=2, something_new=1))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"{}", b"[" * 100_000, b"NaN"])
def test_a_file_that_is_not_a_report_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(ReportError, match="is not a report"):
        Report.load(tmp_path / "report.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"cannot read the report .*nowhere\.json: No such file"):
        Report.load(tmp_path / "nowhere.json")


def test_a_verdict_its_gates_do_not_give_is_refused(saved: Path) -> None:
    with pytest.raises(ReportError, match="verdict is fail but the gates say pass"):
        Report.load(edit(saved, verdict="fail"))


def test_counts_that_do_not_add_up_are_refused(saved: Path) -> None:
    accuracy = json.loads(saved.read_text())["accuracy"]
    accuracy["top1"]["int8_correct"] += 1
    with pytest.raises(ReportError, match="must equal worse - better"):
        Report.load(edit(saved, accuracy=accuracy))


def test_infinity_and_text_in_place_of_numbers_are_refused(saved: Path) -> None:
    accuracy = json.loads(saved.read_text())["accuracy"]
    for nonsense in (float("inf"), float("nan"), "0.5", None):
        with pytest.raises(ReportError, match="kl_nats"):
            Report.load(edit(saved, accuracy={**accuracy, "kl_nats": nonsense}))


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        report().verdict = Verdict.PASS
