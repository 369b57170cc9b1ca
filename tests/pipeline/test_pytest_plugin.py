import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.pytest_plugin import assert_accuracy, assert_latency
from tests.conftest import ROOT
from tests.pipeline.report.samples import report

USERS_TEST = """
from pathlib import Path
from pipeline.pytest_plugin import assert_accuracy, assert_latency

def test_good_enough(edgec_build):
    report = edgec_build(Path({config!r}), out={out!r})
    assert_accuracy(report, max_drop=50.0)
    assert_latency(report, p50_ms=10_000.0)

def test_too_much_asked(edgec_build):
    assert_latency(edgec_build(Path({config!r}), out={out!r}), p50_ms=0.000001)
"""


def test_what_holds_is_asserted_silently() -> None:
    assert_accuracy(report(), max_drop=1.0, min_ratio=0.99)
    assert_latency(report(), p50_ms=1.0, p90_ms=1.0, p99_ms=1.0)


def test_what_fails_or_is_not_known_says_why() -> None:
    with pytest.raises(AssertionError, match=r"fail: top-1 drop below 1\.00 points: the 95 % interval"):
        assert_accuracy(report(noise=0.6), max_drop=1.0)
    with pytest.raises(AssertionError, match=r"inconclusive: .* images would decide"):
        assert_accuracy(report(noise=0.3), max_drop=1.0)
    with pytest.raises(AssertionError, match=r"fail: INT8 keeps 99 % of FP32's top-1"):
        assert_accuracy(report(noise=0.6), min_ratio=0.99)
    with pytest.raises(AssertionError, match=r"fail: p90 latency below 0\.1 ms"):
        assert_latency(report(), p90_ms=0.1)
    with pytest.raises(AssertionError, match=r"inconclusive: .* not measured: no board connected"):
        assert_latency(report(measured=False), p50_ms=1.0)


def test_an_assertion_without_a_limit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs max_drop or min_ratio"):
        assert_accuracy(report())
    with pytest.raises(ValueError, match="needs p50_ms, p90_ms or p99_ms"):
        assert_latency(report())


@pytest.mark.slow
def test_in_a_users_repository(quick: Path, tmp_path: Path) -> None:
    (tmp_path / "test_release.py").write_text(USERS_TEST.format(config=str(quick), out=str(tmp_path / "out")))
    command = [sys.executable, "-m", "pytest", "-p", "pipeline.pytest_plugin", "-p", "no:cacheprovider", "-q"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "AssertionError: fail: p50 latency below 1e-06 ms" in done.stdout
