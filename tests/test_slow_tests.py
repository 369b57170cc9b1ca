"""The list of slow tests: it names tests that are there, and comes from measured times."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.slow_tests import SECONDS, is_listed, listed, longest, measured, slow_ones


@pytest.mark.parametrize("line", sorted({line.split("[")[0] for line in listed()}))
def test_every_test_of_the_list_is_there(line: str) -> None:
    file, *_, name = line.split("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_a_test_is_one_line_if_all_its_cases_are_slow() -> None:
    long, short = SECONDS + 1, SECONDS - 1
    times = {
        "t.py::a[1]": long,
        "t.py::a[2]": long,
        "t.py::b[1]": long,
        "t.py::b[2]": short,
        "t.py::c": short,
    }
    slow = frozenset(slow_ones(times))
    assert slow == {"t.py::a", "t.py::b[1]"}
    assert {test for test in times if is_listed(test, slow)} == {"t.py::a[1]", "t.py::a[2]", "t.py::b[1]"}


def test_times_come_from_pytests_own_file(tmp_path: Path) -> None:
    (tmp_path / "times.xml").write_text(
        '<testsuites><testsuite><testcase classname="tests.targets.reach.test_remote.TestABoard"'
        ' name="test_one[a.b]" time="2.5"/>'
        '<testcase classname="tests.test_privacy" name="test_two" time="1"/></testsuite>'
        "</testsuites>"
    )
    assert measured(tmp_path / "times.xml") == {
        "tests/targets/reach/test_remote.py::TestABoard::test_one[a.b]": 2.5,
        "tests/test_privacy.py::test_two": 1.0,
    }


def test_the_longest_time_of_several_runs_counts() -> None:
    assert longest([{"a": 1.0, "b": 2.0}, {"a": 3.0}]) == {"a": 3.0, "b": 2.0}
