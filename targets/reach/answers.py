"""Reads what programs on devices answer: a last line of JSON, which is checked before anything uses it."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, TypeVar, get_origin

from targets.errors import DeviceAnswerError
from targets.reach.answer_limits import ANSWER_BYTES, ANSWER_VALUES, NAME_CHARACTERS
from targets.runtime.measure import Measurement, Settings
from targets.runtime.printable import printable

T = TypeVar("T")
NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading a value of another shape raises."""
LONGEST_NS = 3600 * 10**9
"""Of one run of an engine."""


@contextmanager
def sensible(who: object, what: str) -> Iterator[None]:
    """Raise DeviceAnswerError where reading the answer of a device, about `what`, fails in any way."""
    try:
        yield
    except NONSENSE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise DeviceAnswerError(
            f"{who}: its answer about {what} cannot be read ({reason}); another program may print there"
        ) from error


def json_answer(output: str) -> Any:  # noqa: ANN401 - JSON
    """Return the value in the last line of what a device printed. Raises ValueError, RecursionError.

    NaN and infinity are refused, however they are spelled, and so is a line of more than ANSWER_BYTES or
    ANSWER_VALUES.
    """
    last = output.rstrip("\r\n").rpartition("\n")[2]
    if len(last) > ANSWER_BYTES:
        raise ValueError(f"it has {len(last):,} characters; at most {ANSWER_BYTES:,} are read")
    if sum(map(last.count, ",:[{")) > ANSWER_VALUES:  # each value comes after one of these
        raise ValueError(f"it has more than {ANSWER_VALUES:,} values")
    return json.loads(last, parse_constant=_refuse, parse_float=_finite)


def checked(kind: type[T], value: object) -> T:
    """Return `value` as a dataclass, a named tuple or a list of them. Raises ValueError for other fields.

    Texts are names: they have at most NAME_CHARACTERS, and none of them commands a terminal.
    """
    from pydantic import (
        FailFast,
        TypeAdapter,
        ValidationError,
    )  # slow to import, and few commands reach a device

    from targets.validation_errors import few_errors

    _refuse_odd_texts(value)
    read: Any = Annotated[kind, FailFast()] if get_origin(kind) is list else kind  # else errors of each item
    try:
        found: T = TypeAdapter(read).validate_python(value)
        return found
    except ValidationError as error:
        named = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in few_errors(error)[:3]]
        raise ValueError("; ".join([f"{error.error_count():,} fields are wrong", *named])) from None


def measurements(output: str, settings: Settings, count: int) -> list[Measurement]:
    """Return the `count` measurements that a device printed. Raises ValueError for times that cannot be."""
    found = checked(list[Measurement], json_answer(output))
    if len(found) != count:
        raise ValueError(f"{len(found)} engines were measured, not {count}")
    for one in found:
        refuse_impossible(one)
        if one.batch != settings.batch or len(one.runs_ns) > settings.max_runs + settings.block:
            raise ValueError(f"{len(one.runs_ns):,} runs of {one.batch} images were not asked for")
    return found


def refuse_impossible(measured: Measurement) -> None:
    """Raise ValueError for a measurement without runs, or with a run that takes no time or hours."""
    if not measured.runs_ns or not 0 < min(measured.runs_ns) <= max(measured.runs_ns) < LONGEST_NS:
        raise ValueError("a run of the engine takes more than nothing and less than an hour")


def _refuse_odd_texts(value: object) -> None:
    if isinstance(value, str) and len(value) > NAME_CHARACTERS:
        raise ValueError(f"a text has {len(value):,} characters; at most {NAME_CHARACTERS:,} are read")
    if isinstance(value, str) and (shown := printable(value)) != value:
        raise ValueError(f"{shown[:80]} has characters that command a terminal")
    inside = [*value, *value.values()] if isinstance(value, dict) else value
    for inner in inside if isinstance(inside, list) else ():
        _refuse_odd_texts(inner)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is beyond every number")
    return value
