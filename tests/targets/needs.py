"""What a test needs of the machine that it runs on."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from targets.errors import TargetUnavailable

T = TypeVar("T")


def or_skip(needed: Callable[[], T]) -> T:
    """Return what `needed` does; where it finds something missing, the test is skipped and says what."""
    try:
        return needed()
    except TargetUnavailable as error:
        pytest.skip(str(error))
