"""Every error that gives advice has a test that follows the advice."""

import ast
import builtins
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


def sources() -> list[ast.AST]:
    """Our programs, parsed."""
    files = sorted(path for place in WHERE for path in (ROOT / place).rglob("*.py"))
    return [ast.parse(path.read_text()) for path in files]


def kinds_of_errors(programs: list[ast.AST]) -> set[str]:
    """The names of all classes of errors, ours and Python's."""
    found = {name for name, one in vars(builtins).items() if isinstance(one, type)}
    found = {name for name in found if issubclass(vars(builtins)[name], BaseException)}
    classes = [node for one in programs for node in ast.walk(one) if isinstance(node, ast.ClassDef)]
    while new := {one.name for one in classes if _bases(one) & found} - found:
        found |= new
    return found


def _bases(one: ast.ClassDef) -> set[str]:
    return {base.id for base in one.bases if isinstance(base, ast.Name)}


def messages() -> Iterator[str]:
    """What errors say, wherever they are made: raised, returned, or filled in by their own class."""
    programs = sources()
    kinds = kinds_of_errors(programs)
    for node in (node for one in programs for node in ast.walk(one)):
        match node:
            case ast.Raise(exc=ast.Call(args=args, keywords=keywords)):
                pass
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in kinds:
                pass
            case ast.Call(
                func=ast.Attribute(value=ast.Call(), attr="__init__"), args=args, keywords=keywords
            ):
                pass
            case _:
                continue
        yield from map(text, [*args, *(one.value for one in keywords)])


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
