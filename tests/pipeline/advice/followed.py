"""Follows advice: an attempt is refused with these words, and succeeds once they are followed."""

import re
from collections.abc import Callable

import pytest

from pipeline.cli.app import run
from pipeline.errors import PipelineError


def check_advice(
    words: str,
    attempt: Callable[[], object],
    heed: Callable[[], object],
    kind: type[Exception] = PipelineError,
) -> None:
    """`attempt` fails with a message of one line that has `words`, and works after `heed`."""
    with pytest.raises(kind, match=re.escape(words)) as raised:
        attempt()
    assert "\n" not in str(raised.value)
    heed()
    attempt()


def check_other_words(
    words: str,
    first: list[object],
    then: list[object],
    capsys: pytest.CaptureFixture[str],
    code: int = 0,
) -> None:
    """The command line `first` is refused in one line with `words`; `then` is not, and ends with `code`."""
    capsys.readouterr()
    assert run([str(one) for one in first]) != 0
    said = capsys.readouterr().err.strip()
    assert words in said
    assert said.startswith("edgec: ")
    assert "\n" not in said
    assert run([str(one) for one in then]) == code
