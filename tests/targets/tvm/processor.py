"""The processor that the tests run on."""

import pytest

from targets.errors import TargetUnavailable
from targets.tvm.isa import Isa
from targets.tvm.target import host_isa


def isa_or_skip() -> Isa:
    """The instructions that engines use here; skips the test, saying why, where there are none for them."""
    try:
        return host_isa()
    except TargetUnavailable as error:
        pytest.skip(str(error))
