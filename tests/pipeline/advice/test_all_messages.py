"""Every message that advises something is known, and the number of those that nobody follows only falls."""

import ast
import re
from collections.abc import Iterator

from tests.conftest import ROOT

VERBS = (
    "Add Ask Build Call Change Choose Copy Correct Download Export Give Install Leave Lower Make Name Point"
)
VERBS += " Put Quote Remove Restore Run Save Say Set Swap Take Try Unpack Use Write"
ADVICE = re.compile(rf"(?:^|[.:;] )(?:{'|'.join(VERBS.split())}) ")
WHERE = ("pipeline/models", "pipeline/data", "pipeline/build", "pipeline/bundle")
LONG = 11
"""Shorter words stand in many messages."""
NOT_FOLLOWED = 15
"""So many messages give advice that no test here follows: 3 of models, 11 of build, 1 of bundle."""


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
    """What the tests of this folder follow."""
    found = set()
    for path in (ROOT / "tests" / "pipeline" / "advice").glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > LONG:
                found.add(node.value)
    return found


def test_no_advice_is_added_that_nobody_follows() -> None:
    advising = [message for message in messages() if ADVICE.search(message)]
    followed = words()
    left = [message for message in advising if not _is_followed(message, followed)]
    assert len(advising) > NOT_FOLLOWED
    assert len(left) <= NOT_FOLLOWED, "\n".join(left)


def _is_followed(message: str, followed: set[str]) -> bool:
    """Whether a test has words of it, or its fixed words."""
    advice = ADVICE.split(message, maxsplit=1)[-1]
    parts = [part.strip() for part in advice.split("\n") if len(part) > LONG]
    return any(one in message or any(part in one for part in parts) for one in followed)
