"""Engines against the oracle, bit for bit, on this machine and in the emulator."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.reach.emulator import EmulatedRunner
from targets.reach.emulator import check as check_emulator
from targets.runtime.native_runner import open_engine
from targets.tvm import oracle
from targets.tvm.engine_file import write_engine
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import ISAS, Isa
from tests.targets.needs import or_skip
from tests.targets.tvm.random_graphs import pictures

EMULATED = {"neon": "cortex-a72", "dotprod": "cortex-a76", "i8mm": "max"}


def emulated(name: str) -> Isa:
    or_skip(check_emulator)
    return ISAS[name]


def check(graph: IntegerGraph, isa: Isa) -> None:
    images = pictures(graph, 3)
    expected = oracle.run(graph, images)
    with tempfile.TemporaryDirectory() as folder:
        engine = Path(folder) / "engine"
        write_engine(graph, isa, engine)
        if isa.signed:
            runner = EmulatedRunner(engine, EMULATED[isa.name], threads=2)
            same_bits(runner.infer(images), expected)
            assert "pass" in runner.selftest()
            return
        for threads in (1, 3):
            with open_engine(engine, threads) as opened:
                same_bits(opened.infer(images), expected)
                same_bits(opened.infer(images), expected)  # nothing is left over from the inference before


def few_and_more(few: int, more: int) -> pytest.MarkDecorator:
    """Give a test `draw`, some random networks for every run and others for `slow` ones."""
    draws = [NetworkDraw(few, seed=0), pytest.param(NetworkDraw(more, seed=1), marks=pytest.mark.slow)]
    return pytest.mark.parametrize("draw", draws, ids=["few", "more"])


@dataclass(frozen=True)
class NetworkDraw:
    """So many random networks, the same in every run. Two seeds have none in common."""

    count: int
    seed: int

    def check(self, networks: st.SearchStrategy[IntegerGraph], isa: Isa) -> None:
        """Compare each one's engine with the oracle."""

        @seed(self.seed)
        @settings(
            deadline=None,
            phases=[Phase.generate],  # shrinking would compile hundreds of networks
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            max_examples=self.count,
        )
        @given(networks)
        def agree(graph: IntegerGraph) -> None:
            check(graph, isa)

        agree()


def same_bits(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert np.array_equal(found.view(np.int32), expected.view(np.int32))
