from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.from_measurement import latency_of, memory_of, noise
from targets.base import Origin
from tests.pipeline.report.samples import QUIET, measurement


def test_figures_equal_numpys() -> None:
    runs = measurement(milliseconds=2.0, runs=700)
    found = latency_of(runs, Origin.DEVICE, threads=4)
    ms = np.array(runs.runs_ns) / 1e6
    assert (found.p50.ms, found.p90.ms, found.p99.ms) == pytest.approx(np.quantile(ms, [0.5, 0.9, 0.99]))
    assert found.throughput_per_s == pytest.approx(1000 / ms.mean())
    assert found.coefficient_of_variation == pytest.approx(ms.std(ddof=1) / ms.mean())
    assert found.outliers == (np.exp(np.log(ms)) > 2.4).sum()  # the simulated interruptions
    assert (found.origin, found.threads, found.noisy) == (Origin.DEVICE, 4, ())


def test_throughput_counts_every_image_of_a_batch() -> None:
    runs = measurement(milliseconds=2.0)
    one, eight = latency_of(runs, Origin.HOST, 1), latency_of(replace(runs, batch=8), Origin.HOST, 1)
    assert eight.throughput_per_s == pytest.approx(8 * one.throughput_per_s)


def test_a_quiet_machine_is_not_called_noisy_and_a_single_run_is() -> None:
    assert noise(measurement(milliseconds=1.0)) == ()
    assert any("median is not known" in reason for reason in noise(measurement(milliseconds=1.0, runs=1)))


def test_every_kind_of_noise_is_named() -> None:
    quiet = measurement(milliseconds=1.0)
    drifting = tuple(int(t * (1 + 0.1 * i / 600)) for i, t in enumerate(quiet.runs_ns))
    phases = tuple(t * (1 + (i // 100) % 2) for i, t in enumerate(quiet.runs_ns))
    cases = {
        "had not settled": replace(quiet, warmup_stable=False),
        "load average was 1.9 on 2 cores": replace(quiet, before=QUIET._replace(load_average=1.9)),
        "throttled 3 times": replace(quiet, after=QUIET._replace(throttle_events=3)),
        "governor is powersave": replace(quiet, before=QUIET._replace(governors=("powersave",))),
        "drifted by +": replace(quiet, runs_ns=drifting),
        "worth only": replace(quiet, runs_ns=phases),
        "above the median": replace(
            quiet, runs_ns=tuple(t * (1 + (i % 5 == 0)) for i, t in enumerate(quiet.runs_ns))
        ),
    }
    for words, case in cases.items():
        assert any(words in reason for reason in noise(case)), words


def test_memory_keeps_how_it_was_read() -> None:
    runs = measurement(milliseconds=1.0)
    assert runs.memory
    found = memory_of(runs.memory, Origin.DEVICE)
    assert (found.peak_bytes, found.before_open_bytes) == (83_000_000, 60_000_000)
    assert found.method == "VmHWM, reset before opening"
