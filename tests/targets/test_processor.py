"""What this machine's processor is said to have, on machines that are not this one."""

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets import processor
from targets.processor import cpu_flags


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    cpu_flags.cache_clear()
    yield
    cpu_flags.cache_clear()


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
    lines = "".join(f"{name} : {value}\n" for name, value in cpuinfo.items())
    monkeypatch.setattr(Path, "read_text", lambda _: lines)
    monkeypatch.setattr(processor, "flags", lambda: vector)
    assert cpu_flags() == expected
