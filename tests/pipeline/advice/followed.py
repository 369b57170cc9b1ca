"""Advice is followed: what a user tries is refused with these words, and works once they are heeded."""

import re
from collections.abc import Callable

import pytest

from pipeline.errors import PipelineError


def check_advice(words: str, attempt: Callable[[], object], heed: Callable[[], object]) -> None:
    """`attempt` fails with a message of one line that has `words`, and works after `heed`."""
    with pytest.raises(PipelineError, match=re.escape(words)) as raised:
        attempt()
    assert "\n" not in str(raised.value)
    heed()
    attempt()
