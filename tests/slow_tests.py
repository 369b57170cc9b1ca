"""Tests that were measured to be slow: `slow_tests.txt` lists them, and the suite marks them.

After a run with nothing beside it, `make test ARGS="-m '' --junitxml=all.xml"`, this writes the list anew:

    python -m tests.slow_tests all.xml [quick.xml]

A fixture counts for the first test that needs it. Once that is left out, another one pays: after a run of
`make test` with that list, its times are given too.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".txt")
SECONDS = 3.0
"""A test that takes longer is slow, with what it waits for and the fixtures it is the first to need."""


def listed() -> frozenset[str]:
    """The listed tests: a case by its whole name, all cases of a test by the name without brackets."""
    return frozenset(LIST.read_text().splitlines())


def is_listed(test: str, slow: frozenset[str]) -> bool:
    """Whether a test, by its whole name, is among the slow ones."""
    return not slow.isdisjoint({test, test.partition("[")[0]})


def slow_ones(times: dict[str, float]) -> list[str]:
    """Return the lines of the list; a test all of whose cases are slow is one line."""
    cases = defaultdict(set)
    for test in times:
        cases[test.split("[")[0]].add(test)
    lines = set[str]()
    for name, names in cases.items():
        slow = {test for test in names if times[test] > SECONDS}
        lines |= {name} if slow == names else slow
    return sorted(lines)


def measured(junit: Path) -> dict[str, float]:
    """Return the seconds of each test in a JUnit file of pytest's. Raises ElementTree.ParseError, OSError."""
    times = dict[str, float]()
    for case in ElementTree.parse(junit).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        parts = case.attrib["classname"].split(".")
        end = next(n for n in range(len(parts), 0, -1) if Path(ROOT, *parts[:n]).with_suffix(".py").is_file())
        name = "::".join(("/".join(parts[:end]) + ".py", *parts[end:], case.attrib["name"]))
        times[name] = times.get(name, 0) + float(case.attrib["time"])
    return times


def longest(runs: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the longest time that each test took in any run."""
    times = dict[str, float]()
    for run in runs:
        times |= {test: max(seconds, times.get(test, 0)) for test, seconds in run.items()}
    return times


if __name__ == "__main__":
    found = longest(measured(Path(name)) for name in sys.argv[1:])
    LIST.write_text("".join(f"{line}\n" for line in slow_ones(found)))
