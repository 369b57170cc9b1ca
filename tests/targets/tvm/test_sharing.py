"""Threads that run ahead of each other, as far as they may, compute the same bits."""

import ctypes
import os
import time
from pathlib import Path

import numpy as np
import pytest

from targets.runtime.native_runner import open_engine
from targets.runtime.zig import run_zig
from targets.tvm import glue, oracle
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import Isa
from targets.tvm.link import NATIVE
from targets.tvm.lower import lower
from targets.tvm.machine_code import compile_object
from targets.tvm.sharing import MOST_THREADS, inside, share
from tests.targets.needs import FAMILY, native, or_skip
from tests.targets.tvm.against_oracle import write_what_runs
from tests.targets.tvm.random_graphs import pictures
from tests.targets.tvm.residual_graph import residual_network


def link_laggards(graph: IntegerGraph, isa: Isa, folder: Path) -> ctypes.CDLL:
    program = lower(graph, isa)
    functions = [kernel.function(name) for kernel, name in glue.kernel_names(program).items()]
    compile_object(functions, isa, folder / "kernels.o")
    (folder / "table.c").write_text(glue.source(program))
    native = [NATIVE / name for name in ("workers.c", "footer.c", "engine_file.c")]
    sources = [folder / "table.c", *native, Path(__file__).parent / "laggards.c"]
    options = ["-shared", "-fPIC", "-O1", "-fno-sanitize=all", "-pthread", f"-I{NATIVE}"]
    linked = run_zig(options, [*sources, folder / "kernels.o"], folder / "laggards.so")
    assert linked.returncode == 0, linked.stderr
    library = ctypes.CDLL(str(folder / "laggards.so"))
    library.open_engine.restype = ctypes.c_char_p
    library.lagging.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint)
    return library


SIZES = ((7, 7), (19, 6), (40, 9))
LIKE_ANOTHER = {"avxvnni", "avx512", "sse4"}
"""Instruction sets whose steps are shared as another's here are: for them one size shows that it works."""


@pytest.mark.parametrize(
    ("height", "width", "name"),
    [(*size, name) for name in FAMILY for size in (SIZES[:1] if name in LIKE_ANOTHER else SIZES)],
)
def test_whoever_lags_behind_the_bits_stay_the_same(
    height: int, width: int, name: str, tmp_path: Path
) -> None:
    isa = native(name)
    graph = residual_network(height, width, tmp_path)
    write_what_runs(graph, isa, tmp_path / "engine")
    library = link_laggards(graph, isa, tmp_path)
    assert library.overlapping() > 0  # how many steps do depends on the rows that its tiles span
    assert library.open_engine(os.fsencode(tmp_path / "engine")) is None
    images = pictures(graph, 2)
    expected = oracle.run(graph, images)
    assert len(np.unique(expected)) > 7
    found = np.empty(graph.classes, np.float32)
    for threads in range(2, MOST_THREADS + 1):
        for laggards in range(1, 1 << threads):
            n = laggards % 2
            library.lagging(images[n].ctypes.data, found.ctypes.data, threads, laggards)
            assert np.array_equal(found, expected[n]), f"{threads} threads, of which {laggards:b} lag"
    library.close_engine()


def test_shares_cover_a_step_and_the_first_has_one_item_more() -> None:
    for items in range(40):
        for threads in range(1, MOST_THREADS + 1):
            shares = [share(items, thread, threads) for thread in range(threads)]
            assert [n for one in shares for n in one] == list(range(items))
            assert len(shares[0]) == -(-items // threads)


def test_only_edges_next_to_another_share_are_waited_for() -> None:
    assert [inside(share(32, t, 3), 1, t, 3) for t in range(3)] == [range(10), range(12, 21), range(23, 32)]


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IntegerGraph]:
    folder = tmp_path_factory.mktemp("residual")
    graph = residual_network(32, 32, folder)
    write_engine(graph, or_skip(host_isa), folder / "engine")
    return folder / "engine", graph


@pytest.mark.parametrize("threads", [2, 3])
def test_small_steps_on_several_threads_give_the_same_bits_every_time(
    residual: tuple[Path, IntegerGraph], threads: int
) -> None:
    engine, graph = residual
    images = pictures(graph, 2)
    expected = oracle.run(graph, images)
    many = np.tile(images, (500, 1, 1, 1))
    with open_engine(engine, threads) as runner:
        assert np.array_equal(runner.infer(many), np.tile(expected, (500, 1)))


def test_threads_that_join_when_they_have_woken_up_give_the_same_bits(
    residual: tuple[Path, IntegerGraph],
) -> None:
    engine, graph = residual
    images = pictures(graph, 3)
    expected, random = oracle.run(graph, images), np.random.default_rng(0)
    with open_engine(engine, 2) as runner:
        for pause in random.uniform(0, 0.002, 200):  # a thread falls asleep within a millisecond
            time.sleep(pause)
            assert np.array_equal(runner.infer(images), expected)  # alone, then joined, then together
