"""Every kernel on every instruction set, tile and thread count equals the oracle, bit for bit."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import Isa
from tests.targets.needs import native
from tests.targets.tvm.bit_equality import EMULATED, check, emulated
from tests.targets.tvm.networks import networks

relaxed = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would compile hundreds of networks
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def agree_on_random_networks(isa: Isa, count: int) -> None:
    @settings(relaxed, max_examples=count)
    @given(networks())
    def agree(graph: IntegerGraph) -> None:
        check(graph, isa)

    agree()


@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["avx512vnni", "avxvnni", "avx2"])
def test_random_networks_on_this_machine(name: str, count: int) -> None:
    agree_on_random_networks(native(name), count)


@pytest.mark.parametrize("count", [4, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(EMULATED))
def test_random_networks_in_the_emulator(name: str, count: int) -> None:
    agree_on_random_networks(emulated(name), count)
