"""What this machine's processor is said to have, on machines that are not this one."""

import platform

import pytest

from targets import processor
from targets.processor import cpu_flags


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name, cpuinfo, vector = request.param
    monkeypatch.setattr(platform, "machine", lambda: name)
    monkeypatch.setattr(processor, "_cpuinfo", lambda: cpuinfo)
    monkeypatch.setattr(processor, "flags", lambda: vector)
    cpu_flags.cache_clear()
    request.addfinalizer(cpu_flags.cache_clear)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (("x86_64", {"flags": "avx2 fma"}, set()), {"avx2", "fma"}),
        (("aarch64", {"Features": "asimd bf16"}, {"asimd"}), {"asimd", "bf16"}),
        (("aarch64", {"flags": "avx2 fma"}, {"asimd", "asimddp"}), {"asimd", "asimddp"}),
        (("aarch64", {}, {"asimd"}), {"asimd"}),
    ],
    ids=["x86", "ARM", "ARM emulated on x86", "ARM without cpuinfo"],
    indirect=["machine"],
)
def test_flags_are_those_of_the_processor_that_runs_this(machine: None, expected: set[str]) -> None:
    assert cpu_flags() == expected
