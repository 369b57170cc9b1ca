import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.latency_false_alarms import interleaved, quiet
from pipeline.errors import ReportError
from pipeline.report.baseline import Baseline, baseline_of
from pipeline.report.comparison import compare
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.paired import pack_bits, paired_images, unpack_bits
from pipeline.report.regression_limits import Limits
from pipeline.report.speed import speed_ratio
from tests.pipeline.report.samples import report


def losing(shown: Report, images: int) -> Report:
    """The same build with `images` more images wrong."""
    accuracy = shown.accuracy
    assert isinstance(accuracy, Accuracy)
    right = unpack_bits(accuracy.int8_right, accuracy.top1.images)
    right[np.flatnonzero(right)[:images]] = False
    fp32 = unpack_bits(accuracy.fp32_right, accuracy.top1.images)
    changed = accuracy.replace(int8_right=pack_bits(right), top1=paired_images(fp32, right))
    return shown.replace(accuracy=changed)


def test_a_baseline_survives_the_disk_and_is_small(tmp_path: Path) -> None:
    baseline = baseline_of(report())
    baseline.save(tmp_path / "baseline.json")
    assert Baseline.load(tmp_path / "baseline.json") == baseline
    assert (tmp_path / "baseline.json").stat().st_size < 4096  # for 10,000 images
    assert baseline.file_name == "resnet20-fashion-reference-AMD_EPYC_x86_64_26.2.1_2_cores.json"


def test_a_file_that_is_not_a_baseline_is_refused(tmp_path: Path) -> None:
    report().save(tmp_path / "report.json")
    with pytest.raises(ReportError, match="is not a valid baseline: unknown field"):
        Baseline.load(tmp_path / "report.json")


def test_a_build_compared_with_itself_passes_and_nothing_moved() -> None:
    shown = report()
    found = compare(baseline_of(shown), shown)
    assert (found.verdict, found.exit_code, found.warnings) == (Verdict.PASS, 0, ())
    top1 = found.moved[0]
    assert top1.before == top1.after == "96.80 %"
    assert top1.note == "0 images worse, 0 better; within noise"


@pytest.mark.parametrize(
    ("images", "verdict", "code"), [(300, Verdict.FAIL, 1), (50, Verdict.INCONCLUSIVE, 3)]
)
def test_lost_images_are_judged_image_by_image(images: int, verdict: Verdict, code: int) -> None:
    before = report()
    found = compare(baseline_of(before), losing(before, images), Limits(max_drop=0.5))
    assert (found.verdict, found.exit_code) == (verdict, code)
    assert found.moved[0].note == f"{images} images worse, 0 better; more than noise"


def test_an_upgraded_tool_is_named_and_does_not_prevent_the_comparison() -> None:
    before = report()
    after = before.replace(tools={**before.tools, "onnxruntime": "1.33.0"})
    found = compare(baseline_of(before), after)
    assert found.verdict is Verdict.PASS
    assert [(m.name, m.before, m.after) for m in found.moved[-1:]] == [("onnxruntime", "1.32.0", "1.33.0")]


@pytest.mark.parametrize("images", [1, 5])
def test_a_change_shown_by_only_one_of_interval_and_test_is_noise(images: int) -> None:
    """Five images worse and none better: Tango's interval is above zero, McNemar's exact p is 0.0625."""
    before = report()
    assert compare(baseline_of(before), losing(before, images)).moved[0].note.endswith("within noise")


def test_a_grown_engine_fails() -> None:
    before = report()
    grown = before.replace(sizes=before.sizes.replace(engine=400_000))
    found = compare(baseline_of(before), grown)
    assert found.verdict is Verdict.FAIL
    assert found.gates[1].message == "282 KiB became 391 KiB, +38.4 %"


def test_a_stored_latency_warns_and_never_fails() -> None:
    before, after = report(int8_ms=0.42), report(int8_ms=0.84)
    found = compare(baseline_of(before), after)
    assert found.verdict is Verdict.PASS
    assert "p50 is +100" in found.warnings[0]
    assert "interleaved" in found.warnings[0]


def test_a_latency_measured_otherwise_is_not_compared() -> None:
    before, after = report(), report(int8_ms=0.84)
    found = compare(baseline_of(before), after.replace(latency_int8=after.latency_int8.replace(threads=4)))
    assert "other conditions" in found.warnings[0]


def test_interleaved_runs_are_judged() -> None:
    shown, rng = report(), np.random.default_rng(0)
    speeds = {ratio: speed_ratio(*interleaved(quiet(2000, rng), ratio)) for ratio in (1.0, 1.05)}
    assert compare(baseline_of(shown), shown, speed=speeds[1.0]).verdict is Verdict.PASS
    slower = compare(baseline_of(shown), shown, speed=speeds[1.05])
    assert slower.exit_code == 1
    assert "interleaved: 1.05" in slower.moved[1].note


def test_what_was_not_measured_stays_not_measured() -> None:
    found = compare(baseline_of(report(measured=False)), report())
    assert (found.moved[1].before, found.moved[1].after) == ("not measured", "0.4199 ms")
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("model", "resnet18", "model 'resnet18'"),
        ("target", "tvm", "target 'tvm'"),
        ("device", "cortex-a76", "device 'cortex-a76'"),
        ("dataset", "cifar10", "evaluation set 'cifar10'"),
        ("evaluation_digest", "f" * 64, "use the same images, or save a new baseline"),
    ],
)
def test_builds_that_are_not_comparable_are_refused(field: str, value: str, words: str) -> None:
    shown = report()
    with pytest.raises(ReportError, match=words):
        compare(baseline_of(shown).replace(**{field: value}), shown)


def test_damaged_bits_are_refused(tmp_path: Path) -> None:
    baseline_of(report()).save(tmp_path / "b.json")
    found = json.loads((tmp_path / "b.json").read_text())
    (tmp_path / "b.json").write_text(json.dumps({**found, "int8_right": found["int8_right"][:40]}))
    with pytest.raises(ReportError, match="bits for 10000 images"):
        compare(Baseline.load(tmp_path / "b.json"), report())


def test_a_loss_that_is_not_decided_is_decided_by_the_limit_that_is_named() -> None:
    before = report()
    after = losing(before, 50)
    gate = compare(baseline_of(before), after, Limits(max_drop=0.5)).gates[0]
    found = re.search(r"allow --max-drop ([\d.]+)\.$", gate.next_step, re.IGNORECASE)
    assert found, gate.next_step
    looser = compare(baseline_of(before), after, Limits(max_drop=float(found[1])))
    assert (looser.verdict, looser.gates[0].next_step) == (Verdict.PASS, "")


def test_a_latency_that_is_not_decided_is_decided_by_the_limit_that_is_named() -> None:
    shown = report()
    speed = speed_ratio(*interleaved(quiet(2000, np.random.default_rng(0)), 1.05))
    assert speed.interval.high is not None
    undecided = Limits(max_latency_ratio=(speed.interval.low + speed.interval.high) / 2)
    gate = compare(baseline_of(shown), shown, undecided, speed).gates[-1]
    assert gate.verdict is Verdict.INCONCLUSIVE
    found = re.search(r"--max-latency ([\d.]+)\.$", gate.next_step)
    assert found, gate.next_step
    looser = compare(baseline_of(shown), shown, Limits(max_latency_ratio=float(found[1])), speed)
    assert looser.gates[-1].verdict is Verdict.PASS


def test_what_failed_says_what_to_do() -> None:
    before = report()
    worse = compare(baseline_of(before), losing(before, 300)).gates[0]
    assert "edgec baseline save" in worse.next_step
