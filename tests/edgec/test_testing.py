from pathlib import Path

import pytest

from edgec.testing import assert_accuracy, assert_latency
from tests.pipeline.report.samples import report

pytest_plugins = ["pytester"]

USERS_TEST = """
from pathlib import Path
from edgec.testing import assert_accuracy

def test_good_enough(edgec_build):
    assert_accuracy(edgec_build(Path({config!r}), out={out!r}), max_drop=50.0)

def test_too_much_asked(edgec_build):
    assert_accuracy(edgec_build(Path({config!r}), out={out!r}), min_top1=99.99)
"""


def test_what_holds_is_asserted_silently() -> None:
    assert_accuracy(report(), max_drop=1.0, min_ratio=0.99)
    assert_latency(report(), p50_ms=1.0, p90_ms=1.0, p99_ms=1.0, judge="model")


def test_what_fails_or_is_not_known_says_why() -> None:
    with pytest.raises(AssertionError, match=r"fail: top-1 drop below 1\.00 points: the 95 % interval"):
        assert_accuracy(report(noise=0.6), max_drop=1.0)
    with pytest.raises(AssertionError, match=r"inconclusive: .* images would decide"):
        assert_accuracy(report(noise=0.3), max_drop=1.0)
    with pytest.raises(AssertionError, match=r"fail: INT8 keeps 99 % of FP32's top-1"):
        assert_accuracy(report(noise=0.6), min_ratio=0.99)
    with pytest.raises(AssertionError, match=r"fail: p90 latency of the model .* of the model alone, since"):
        assert_latency(report(), p90_ms=0.1)
    with pytest.raises(AssertionError, match=r"inconclusive: .* not measured: no board connected"):
        assert_latency(report(measured=False), p50_ms=1.0)


def test_an_assertion_without_a_limit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs max_drop, min_ratio or min_top1"):
        assert_accuracy(report())
    with pytest.raises(ValueError, match="needs p50_ms, p90_ms or p99_ms"):
        assert_latency(report())


@pytest.mark.slow
def test_in_a_users_repository(
    quick: Path, out: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process and a folder of its own, with nothing said but that edgec is installed.

    Accuracy is asserted and latency is not: on a machine that is busy its gates are inconclusive.
    """
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile(USERS_TEST.format(config=str(quick), out=str(out)))
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*AssertionError: fail: *99.99*"])


def test_a_run_of_pytest_that_does_not_use_it_hardly_notices_it(pytester: pytest.Pytester) -> None:
    (pytester.path / "test_nothing.py").write_text(
        "import sys\n\ndef test_what_is_loaded():\n"
        "    assert 'edgec.testing' in sys.modules\n"
        "    assert not {'pipeline', 'targets', 'calibration'} & set(sys.modules)\n"
        "    assert not {'torch', 'onnx', 'onnxruntime', 'numpy', 'pydantic', 'cv2'} & set(sys.modules)\n"
    )
    pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:cacheprovider").assert_outcomes(
        passed=1
    )
