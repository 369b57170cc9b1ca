"""Every kernel on every instruction set, tile and thread count equals the oracle, bit for bit."""

import pytest

from tests.targets.needs import native
from tests.targets.tvm.against_oracle import EMULATED, NetworkDraw, emulated, few_and_more
from tests.targets.tvm.random_graphs import networks


@few_and_more(6, 8)
@pytest.mark.parametrize("name", ["avx512vnni", "avxvnni", "avx512", "avx2", "sse4"])
def test_random_networks_on_this_machine(name: str, draw: NetworkDraw) -> None:
    draw.check(networks(), native(name))


@few_and_more(4, 4)
@pytest.mark.parametrize("name", list(EMULATED))
def test_random_networks_in_the_emulator(name: str, draw: NetworkDraw) -> None:
    draw.check(networks(), emulated(name))
