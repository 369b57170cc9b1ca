"""The candidates of a device in every form of the report."""

import json
from dataclasses import asdict
from pathlib import Path

from pipeline.report.markdown import report_summary
from pipeline.report.model.candidate_figures import EngineCandidate
from pipeline.report.pages.report_page import render_html
from pipeline.stages.measure_latency import CANDIDATES, Measurements
from targets.base import CandidateTimes, TriedCandidate
from tests.pipeline.report.samples import printed, report

TRIED = (
    TriedCandidate(
        "int8",
        "int8_qdq_fp16.onnx, types of the graph",
        "",
        CandidateTimes((2.0, 1.9, 2.1), (1.5, 1.4, None), 40, 19, 0.984375, 64, (0.25, -0.5, 1.0)),
        "p50 2.000 ms, FP16 3.000 ms",
    ),
    TriedCandidate("mixed", "mixed.onnx, types of the graph", "every convolution is slower in INT8", None),
)


class WrittenOnDevice:
    """The output of the stage that measured."""

    def __init__(self, folder: Path) -> None:
        self.names = (CANDIDATES,)
        self.file = folder.joinpath


def read(folder: Path) -> tuple[EngineCandidate, ...]:
    (folder / CANDIDATES).write_text(json.dumps([asdict(one) for one in TRIED]))
    return Measurements(WrittenOnDevice(folder)).candidates()  # type: ignore[arg-type]


def test_every_form_of_the_report_has_them(tmp_path: Path) -> None:
    shown = report().replace(candidates=read(tmp_path))
    for text in (render_html(shown), printed(shown, 160), report_summary(shown)):
        assert "98.44" in text
        assert "19 of 40" in text
        assert "0.25 points" in text
        assert "-0.50, 1.00" in text
        assert "Chosen: p50 2.000 ms, FP16 3.000 ms" in text
        assert "every convolution is slower in INT8" in text
        assert "[1.400, unbounded]" in text or "1.400, unbounded" in text


def test_a_report_without_a_device_has_no_such_section() -> None:
    assert "Candidates on the device" not in render_html(report())
