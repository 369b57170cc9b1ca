"""Requirements of tests on the machine that they run on."""

import platform
from collections.abc import Callable
from typing import TypeVar

import pytest

from targets.errors import TargetUnavailable
from targets.runtime.cpu import MACHINES, why_not
from targets.tvm.isa import ISAS, Isa

T = TypeVar("T")


def or_skip(needed: Callable[[], T]) -> T:
    """Return what `needed` does; where it finds something missing, the test is skipped and says what."""
    try:
        return needed()
    except TargetUnavailable as error:
        pytest.skip(str(error))


FAMILY = [name for name in ISAS if MACHINES.get(name, "aarch64") == platform.machine()]
"""Instruction sets of machines of this kind; this one has perhaps not all of them."""


def native(name: str) -> Isa:
    """Return an instruction set whose engines run here; the test is skipped where they do not."""
    if reason := why_not(name):
        pytest.skip(f"Engines for {name} are not tested here: {reason}.")
    return ISAS[name]
