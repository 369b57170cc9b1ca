"""The checks of `edgec doctor`."""

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipeline import readiness
from pipeline.readiness import pinned_for
from tests.conftest import ROOT

CONSTRAINTS = (ROOT / "constraints.txt").read_text()


def test_every_pin_is_read() -> None:
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#")]
    assert len(pinned_for((3, 11), CONSTRAINTS)) == len(lines)


def test_a_package_that_only_older_pythons_need_is_not_missed_on_newer_ones() -> None:
    """Dask needs importlib_metadata before Python 3.12: on 3.13 a sound set-up was called broken."""
    names = [{name for name, _ in pinned_for((3, minor), CONSTRAINTS)} for minor in (11, 12, 13)]
    assert ["importlib_metadata" in one for one in names] == [True, False, False]


def needed(minor: int) -> set[str]:
    """The packages that an installation on Python 3.`minor` needs, by what those installed here say."""
    known: set[str] = set()
    open_ones = [("edgec", "test"), ("edgec", "")]
    python = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0"}
    while open_ones:
        name, extra = open_ones.pop()
        for wanted in map(Requirement, _requirements(name)):
            if wanted.marker is None or wanted.marker.evaluate({**python, "extra": extra}):
                found = [(wanted.name, one) for one in ("", *wanted.extras)]
                open_ones += [one for one in found if "/".join(one) not in known]
                known.update("/".join(one) for one in found)
    return {canonicalize_name(one.partition("/")[0]) for one in known}


def _requirements(name: str) -> list[str]:
    with suppress(PackageNotFoundError):  # only older Pythons than this one need it
        return requires(name) or []
    return []


@pytest.mark.parametrize("minor", [12, 13, 14])
def test_what_no_package_needs_on_a_newer_python_is_not_pinned_there(minor: int) -> None:
    """What a package needed before 3.12 needs itself was missed on newer ones: doctor called them broken."""
    pinned = {canonicalize_name(name) for name, _ in pinned_for((3, minor), CONSTRAINTS)}
    assert pinned & (needed(11) - needed(minor)) == set()


@pytest.mark.parametrize(("machine", "missed"), [("x86_64", True), ("aarch64", False)])
def test_a_package_without_wheels_for_a_machine_is_not_missed_there(
    machine: str, missed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT-RTX is for x86_64: on ARM a sound set-up was called broken, and the extra cannot be had."""
    assert ("tensorrt_rtx_cu13" in dict(pinned_for((3, 11), CONSTRAINTS, machine))) is missed
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(readiness, "find_spec", lambda name: None if name == "tensorrt_rtx" else name)
    (extra,) = (one for one in readiness.findings(tmp_path) if one.what == "extra jetson")
    assert ("pip install" in extra.advice) is missed
    assert ("there is none for aarch64" in extra.found) is not missed
