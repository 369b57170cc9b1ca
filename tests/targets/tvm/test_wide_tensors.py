"""Activations of 16 bits: kernels of every instruction set equal the oracle, bit for bit."""

import pytest

from tests.targets.needs import native
from tests.targets.tvm.against_oracle import EMULATED, NetworkDraw, emulated, few_and_more
from tests.targets.tvm.wide_graphs import wide_networks


@few_and_more(6, 8)
@pytest.mark.parametrize("name", ["avx512vnni", "avxvnni", "avx512", "avx2", "sse4"])
def test_random_networks_on_this_machine(name: str, draw: NetworkDraw) -> None:
    draw.check(wide_networks(), native(name), "wide")


@few_and_more(4, 4)
@pytest.mark.parametrize("name", list(EMULATED))
def test_random_networks_in_the_emulator(name: str, draw: NetworkDraw) -> None:
    draw.check(wide_networks(), emulated(name), "wide")
