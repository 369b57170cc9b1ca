"""Every error that gives advice has a test that follows the advice; most of what else gives some has one."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache

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
NOT_FOLLOWED = 0
"""Advice outside errors that no test follows yet. It may only fall."""
DESCRIBING = {"help", "prog", "description"}
"""Arguments that say what an option or a command is."""
NO_ADVICE = (
    "run there: ",
    "set aside: ",
    "run now; ",
    "call ",
    "take each output channel's mean error",
    "quantise the pixels without loss",
    "leave out 0.001 %",
    "load average was",
    "run camera",
    "Run on \n",
)
"""What opens with a verb, and only says what is or was done."""


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


@cache
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


@cache
def messages() -> tuple[str, ...]:
    """What errors say, wherever they are made: raised, returned, or filled in by their own class."""
    programs, found = sources(), list[str]()
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
        found += map(text, [*args, *(one.value for one in keywords)])
    return tuple(found)


def other_texts() -> Iterator[str]:
    """What our programs say outside errors: all texts but docstrings, and descriptions of options."""
    for one in sources():
        skipped: set[ast.AST] = set()
        for node in ast.walk(one):  # parents before children
            if node in skipped or _only_describes(node):
                skipped.update(ast.iter_child_nodes(node))
            elif said := text(node):
                skipped.update(ast.iter_child_nodes(node))
                yield said


def _only_describes(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.keyword(arg=str(name)):
            return name in DESCRIBING
        case ast.Call(func=ast.Attribute(attr="task")):
            return True
    return False


@cache
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


def test_advice_outside_errors_is_followed_too() -> None:
    """Remedies, next steps, findings and notes. Only phrases count there: one word stands in many texts."""
    told = {one for one in other_texts() if ADVICE.search(one) and not one.startswith(NO_ADVICE)}
    told -= set(messages())
    phrases = {one for one in words() if " " in one.strip()}
    left = sorted(one for one in told if not _is_followed(one, phrases))
    assert len(told) > 120
    assert len(left) == NOT_FOLLOWED, "\n".join(left)


def _is_followed(message: str, followed: set[str]) -> bool:
    """Whether a test has words of it, its fixed words, or all of it with something put in."""
    advice = ADVICE.split(message, maxsplit=1)[-1]
    parts = [part.strip() for part in advice.split("\n") if len(part) > LONG]
    filled = re.compile(".*".join(re.escape(part) for part in re.split(r"\n|\{\w+\}", message)))
    return any(
        one in message or filled.fullmatch(one) or any(part in one for part in parts) for one in followed
    )
