"""What this machine's processor is said to have, on machines that are not this one."""

import platform

import pytest

from targets import processor
from targets.processor import cpu_flags


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "vector", "expected"),
    [
        ("x86_64", {"flags": "avx2 fma"}, set(), {"avx2", "fma"}),
        ("aarch64", {"Features": "asimd bf16"}, {"asimd"}, {"asimd", "bf16"}),
        ("aarch64", {"flags": "avx2 fma"}, {"asimd", "asimddp"}, {"asimd", "asimddp"}),
        ("aarch64", {}, {"asimd"}, {"asimd"}),
    ],
    ids=["x86", "ARM", "ARM emulated on x86", "ARM without cpuinfo"],
)
def test_flags_are_those_of_the_processor_that_runs_this(
    machine: str,
    cpuinfo: dict[str, str],
    vector: set[str],
    expected: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(processor, "_cpuinfo", lambda: cpuinfo)
    monkeypatch.setattr(processor, "flags", lambda: vector)
    assert cpu_flags.__wrapped__() == expected
