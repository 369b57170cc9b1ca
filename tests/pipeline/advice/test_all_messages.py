"""Every error that gives advice has a test that follows the advice."""

import ast
import re
from collections.abc import Iterator

from tests.conftest import ROOT

VERBS = (
    "Add Ask Build Calibrate Call Change Check Choose Convert Cool Copy Correct Delete Deploy Divide Download"
    " Export Free Get Give Install Keep Leave Load Look Lower Make Name Point Prepare Prune Put Quantise"
    " Quote Remove Repeat Restore Resume Run Save Say See Set Swap Take Train Try Tune Unpack Use Write"
)
ADVICE = re.compile(rf"(?:^|[.:;] )(?i:{'|'.join(VERBS.split())}) ")
WHERE = ("pipeline", "targets", "calibration")
LONG = 11
"""Shorter words stand in many messages."""


def text(node: ast.AST) -> str:
    """A message, with a line break for what is put in."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(text(value) or "\n" for value in values)
        case ast.BinOp(left=left, right=right):
            return text(left) + text(right)
    return ""


def messages() -> Iterator[str]:
    """What errors say."""
    for path in sorted(path for place in WHERE for path in (ROOT / place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                yield text(node.exc.args[0])


def words() -> set[str]:
    """The words that tests of advice follow: in this folder, and in `test_..._advice.py` elsewhere."""
    found = set()
    tests = ROOT / "tests" / "pipeline"
    for path in (*(tests / "advice").glob("test_*.py"), *tests.rglob("test_*_advice.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > LONG:
                found.add(node.value)
    return found


def test_every_advice_is_followed_by_a_test() -> None:
    advising = [message for message in messages() if ADVICE.search(message)]
    followed = words()
    assert len(advising) > 200
    assert [message for message in advising if not _is_followed(message, followed)] == []


def _is_followed(message: str, followed: set[str]) -> bool:
    """Whether a test has words of it, or its fixed words."""
    advice = ADVICE.split(message, maxsplit=1)[-1]
    parts = [part.strip() for part in advice.split("\n") if len(part) > LONG]
    return any(one in message or any(part in one for part in parts) for one in followed)
