"""The checks of `edgec doctor`."""

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
