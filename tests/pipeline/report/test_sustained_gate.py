"""A soak's record in every form of the report, and the gate on it."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline.report.markdown import report_summary
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.sustained_run import SustainedRun
from pipeline.report.pages.report_page import render_html
from pipeline.report.sustained_gate import sustained_gates
from targets.base import Origin
from targets.runtime.sustained.load import Drift, Energy
from targets.runtime.sustained.soak import Soaked, candidate_in
from targets.runtime.tensorrt.engine import EngineChoice
from tests.pipeline.report.samples import printed, report

ENERGY = Energy("VDD_IN", 4.0, 9.0, 45.0, 25.0, 1.5, 2.0)
RECORD = Soaked(
    600.0, 9000, 15.0, (5.0, 4.9, 5.2), Drift(1.04, 1.01, None), 71.0, {"gpu": 30.0}, ENERGY, "", "ab"
)


def read(record: Soaked = RECORD) -> SustainedRun:
    """The report's record of a device's file."""
    return SustainedRun.model_validate_json(json.dumps(asdict(record)))


@pytest.mark.parametrize(
    ("limit", "verdict"), [(5.3, Verdict.PASS), (5.1, Verdict.INCONCLUSIVE), (4.8, Verdict.FAIL)]
)
def test_the_whole_interval_decides(limit: float, verdict: Verdict) -> None:
    (gate,) = sustained_gates(limit, read(), Origin.DEVICE)
    assert (gate.verdict, gate.value, gate.origin) == (verdict, 5.0, Origin.DEVICE)
    assert bool(gate.next_step) == (verdict is not Verdict.PASS)


def test_a_jetsons_candidate_is_named_so_that_fp16_does_not_pass_for_int8() -> None:
    record = read(replace(RECORD, candidate="fp16"))
    (gate,) = sustained_gates(5.3, record, Origin.DEVICE)
    assert "of the candidate fp16" in gate.message
    assert "A soak of the candidate fp16" in report_summary(report().replace(sustained=record))


def test_the_candidate_that_ran_is_the_one_chosen_beside_the_engine(tmp_path: Path) -> None:
    assert candidate_in(tmp_path / "int8_qdq.onnx") == ""
    EngineChoice("fp16", False, "faster").write(tmp_path)
    assert candidate_in(tmp_path / "int8_qdq.onnx") == "fp16"


def test_without_a_record_nothing_is_decided_and_the_next_step_is_said() -> None:
    (gate,) = sustained_gates(5.0, None, Origin.DEVICE)
    assert (gate.verdict, gate.value, gate.origin) == (Verdict.INCONCLUSIVE, None, None)
    assert "./run soak" in gate.next_step
    assert list(sustained_gates(None, read(), Origin.DEVICE)) == []


def test_every_form_of_the_report_has_what_the_device_sustained() -> None:
    shown = report().replace(sustained=read())
    for text in (render_html(shown), printed(shown, 1000), report_summary(shown)):
        for words in (
            "10.0 minutes",
            "5.000 ms [4.900, 5.200]",
            "45.000 mJ",
            "Hottest 71 °C",
            "gpu from 30 s",
        ):
            assert words in text.replace("\\", ""), words  # Markdown escapes brackets
    for text in (render_html(report()), printed(report(), 1000)):
        assert "A soak of" not in text
