"""docs/reliability.md has every limit, with its value."""

import ast
import re
from itertools import pairwise
from math import prod
from pathlib import Path

from pipeline.reading import reading_limits
from targets.reach import answer_limits
from targets.runtime import device_limits
from tests.conftest import ROOT

RUNTIME = ROOT / "targets" / "runtime"
HEADERS = (RUNTIME / "native" / "limits.h", RUNTIME / "serve" / "bounds.h")


def limits() -> dict[str, int]:
    found = {
        name: value
        for module in (reading_limits, device_limits, answer_limits)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int)
    }
    text = "".join(header.read_text() for header in HEADERS)
    for name, value in re.findall(r"((?:EDGEC|SERVE)_\w+) = ([\d <*]+)", text):
        left, _, right = value.partition("<<")
        found[name] = prod(map(int, left.split("*"))) << int(right or 0)
    return found


def described(path: Path) -> set[str]:
    """The constants that are followed by a sentence on what they limit."""
    body = ast.parse(path.read_text()).body
    return {
        target.id
        for one, two in pairwise(body)
        if isinstance(one, ast.Assign) and isinstance(two, ast.Expr)
        for target in one.targets
        if isinstance(target, ast.Name)
    }


def test_the_page_has_every_limit() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", page, re.MULTILINE)
    assert {name: int(value.replace(",", "")) for name, value in rows} == limits()


def test_every_limit_says_of_what_it_is() -> None:
    for module in (reading_limits, device_limits, answer_limits):
        path = Path(str(module.__file__))
        names = {name for name in vars(module) if name.isupper()}
        assert names - {"TENSOR_VALUES_FOR_EACH"} == described(path)
