"""A gate that does not pass names the next step, and that step helps."""

import re

import pytest

from pipeline.report.from_measurement import latency_of
from pipeline.report.gates import drop_gate, floor_gate, ratio_gate
from pipeline.report.latency_gates import LatencyLimits
from pipeline.report.model.certainty import NotMeasured, Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.next_steps import with_next_step
from targets.base import Origin
from tests.pipeline.report.samples import accuracy, measurement, report

FEW = accuracy(images=80, noise=0.1)
MANY = accuracy(images=10_000, noise=0.6)


def step(gate: Gate, found: Accuracy = FEW) -> str:
    return with_next_step(gate, found, None).next_step


def test_a_gate_that_passes_says_nothing() -> None:
    gate = drop_gate(accuracy().top1, 5.0, Origin.HOST)
    assert gate.verdict is Verdict.PASS
    assert with_next_step(gate, FEW, None) == gate


def test_too_few_images_name_how_many_more_decide_and_what_these_can() -> None:
    gate = drop_gate(FEW.top1, 1.0, Origin.HOST)
    assert gate.verdict is Verdict.INCONCLUSIVE
    found = re.fullmatch(
        r"Add ([\d,]+) evaluation images to the 80, or set max_drop = ([\d.]+) under \[validation\], which"
        r" these images do decide\.",
        step(gate),
    )
    assert found is not None
    assert int(found[1].replace(",", "")) + 80 == gate.images_to_decide
    assert drop_gate(FEW.top1, float(found[2]), Origin.HOST).verdict is Verdict.PASS


def test_the_other_limits_that_are_named_are_decided_too() -> None:
    top1 = FEW.top1
    ratio = step(ratio_gate(top1, 0.99, Origin.HOST))
    floor = step(floor_gate(top1, 100 * top1.int8, Origin.HOST))
    for said, name, again in ((ratio, "min_ratio", ratio_gate), (floor, "min_top1", floor_gate)):
        found = re.search(rf"set {name} = ([\d.]+) under", said, re.IGNORECASE)
        assert found is not None
        assert again(top1, float(found[1]), Origin.HOST).verdict is Verdict.PASS


def test_a_drop_that_is_too_large_names_what_lowers_it() -> None:
    gate = drop_gate(MANY.top1, 1.0, Origin.HOST)
    assert gate.verdict is Verdict.FAIL
    said = step(gate, MANY)
    assert "max_drop = 1 under [calibration]" in said
    assert 'recipe = "auto"' in said


def test_a_floor_above_fp32_is_not_a_matter_of_quantisation() -> None:
    gate = floor_gate(MANY.top1, 99.9, Origin.HOST)
    assert gate.verdict is Verdict.FAIL
    assert step(gate, MANY).startswith("FP32 itself has")


@pytest.mark.parametrize("runs", [20, 300])
def test_a_latency_without_an_upper_bound_names_the_runs_that_give_one(runs: int) -> None:
    latency = latency_of(measurement(milliseconds=5.0, runs=runs), Origin.HOST, threads=1)
    (gate,) = LatencyLimits(p99_ms=50.0, judge="model").gates(latency, None)
    assert "At least 368 runs" in step(gate)
    enough = latency_of(measurement(milliseconds=5.0, runs=2000), Origin.HOST, threads=1)
    assert enough.p99.interval.high is not None


def test_a_latency_at_its_limit_names_one_that_is_decided() -> None:
    latency = latency_of(measurement(milliseconds=5.0, runs=500), Origin.HOST, threads=1)
    (gate,) = LatencyLimits(p90_ms=latency.p90.ms, judge="model").gates(latency, None)
    found = re.search(r"p90_ms = ([\d.]+) under", step(gate))
    assert found is not None
    (again,) = LatencyLimits(p90_ms=float(found[1]), judge="model").gates(latency, None)
    assert again.verdict is Verdict.PASS


def test_what_no_device_measured_says_how_to_give_one() -> None:
    absent = NotMeasured(reason="rpi5 is not this machine, and no device was given")
    (gate,) = LatencyLimits(p90_ms=5.0).gates(absent, None)
    assert step(gate) == "Measure there: --device ssh://user@host."


def test_every_form_of_the_report_says_it() -> None:
    from pipeline.report.junit import junit_xml
    from pipeline.report.markdown import report_summary
    from pipeline.report.pages.report_page import render_html
    from tests.pipeline.report.rendered_page import RenderedPage
    from tests.pipeline.report.samples import printed

    gate = with_next_step(drop_gate(FEW.top1, 1.0, Origin.HOST), FEW, None)
    made = report(extra_gates=(gate,))
    for text in (RenderedPage(render_html(made)).text, " ".join(printed(made).split()), report_summary(made)):
        assert "which these images do decide" in text
    assert "which these images do decide" in junit_xml("edgec", made.gates)
