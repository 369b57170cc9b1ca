"""Whole engines under sanitizers, and every step within the tensors of its operator.

Kernels are in it: they tell of each load and store (told_accesses.py).
"""

import math
import random
import subprocess
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from targets.reach.emulator import QEMU
from targets.tvm import oracle, sharing
from targets.tvm.cpu_target import host_isa
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import Isa
from targets.tvm.lower import lower
from tests.targets.needs import FAMILY, native, or_skip
from tests.targets.tvm.against_oracle import EMULATED, emulated
from tests.targets.tvm.random_graphs import networks, pictures
from tests.targets.tvm.residual_graph import residual_network
from tests.targets.tvm.told_accesses import COMPILER, bounded, sanitized, telling
from tests.targets.tvm.wide_graphs import wide_networks

SANITIZERS = ("address,undefined", "thread")
sanitizers_are_here = pytest.mark.skipif(
    COMPILER is None, reason="neither gcc nor clang is here: no sanitizers"
)


def logits(command: list[str | Path], graph: IntegerGraph) -> tuple[bytes, str]:
    """What a program makes of three images, and what it complains of."""
    images = pictures(graph, 3).tobytes()
    done = subprocess.run([*map(str, command)], input=images, capture_output=True, check=False, timeout=300)
    return done.stdout, done.stderr.decode(errors="replace")[:3000]


def expected(graph: IntegerGraph) -> bytes:
    return oracle.run(graph, pictures(graph, 3)).tobytes()


@pytest.mark.slow
@sanitizers_are_here
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_a_whole_engine_with_any_number_of_threads_gives_a_sanitizer_nothing(
    sanitizer: str, tmp_path: Path
) -> None:
    graph = residual_network(7, 7, tmp_path)
    engine = sanitized(lower(graph, or_skip(host_isa)), sanitizer, tmp_path)
    for threads in random.Random(21).sample(range(1, 17), 5):
        assert logits([engine, "logits", "--threads", str(threads)], graph) == (expected(graph), "")
    bench = subprocess.run(
        [engine, "bench", "--runs", "60", "--threads", "3"], capture_output=True, check=False
    )
    assert (bench.returncode, bench.stderr) == (0, b"")


@pytest.mark.slow
@sanitizers_are_here
def test_a_sanitizer_sees_that_constants_end_early(tmp_path: Path) -> None:
    """Only kernels read them."""
    program = lower(residual_network(7, 7, tmp_path), or_skip(host_isa))
    half = replace(program, constants=program.constants[: len(program.constants) // 2])
    engine = sanitized(half, "address,undefined", tmp_path)
    image = bytes(math.prod(program.image))
    done = subprocess.run([engine, "logits"], input=image, capture_output=True, check=False)
    assert b"heap-buffer-overflow" in done.stderr


@pytest.mark.slow
@sanitizers_are_here
def test_a_sanitizer_sees_threads_that_do_not_wait_for_what_others_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "edge", lambda *_: 0)
    graph = residual_network(7, 7, tmp_path)
    engine = sanitized(lower(graph, or_skip(host_isa)), "thread", tmp_path)
    done = subprocess.run(
        [engine, "bench", "--runs", "60", "--threads", "4"], capture_output=True, check=False
    )
    assert b"data race" in done.stderr


def within_tensors(graph: IntegerGraph, isa: Isa, emulator: tuple[str, ...] = ()) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = bounded(graph, isa, Path(folder))
        found = logits([*emulator, program, Path(folder) / "constants"], graph)
    assert found == (expected(graph), "")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [networks, wide_networks], ids=["bytes", "wide"])
@pytest.mark.parametrize("name", [*FAMILY, *EMULATED])
def test_steps_touch_the_tensors_of_their_operator_alone(name: str, kind: type) -> None:
    """On ARM in the emulator. Also the gaps that are filled, and the slack behind tensors."""
    there = name in EMULATED and name not in FAMILY
    isa = emulated(name) if there else native(name)
    emulator = (QEMU, "-cpu", EMULATED[name]) if there else ()

    @seed(zlib.crc32(f"{name} {kind.__name__}".encode()))
    @settings(
        deadline=None,
        phases=[Phase.generate],  # shrinking would compile hundreds of networks
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        max_examples=1,
    )
    @given(kind())
    def check(graph: IntegerGraph) -> None:
        within_tensors(graph, isa, emulator)

    check()


@pytest.mark.slow
def test_a_step_that_touches_more_than_its_tensors_is_named(tmp_path: Path) -> None:
    graph = residual_network(7, 7, tmp_path)
    program = bounded(graph, or_skip(host_isa), tmp_path, less=256)
    assert " of the arena" in logits([program, tmp_path / "constants"], graph)[1]


def test_an_access_that_nobody_would_be_told_of_is_an_error() -> None:
    with pytest.raises(ValueError, match="nobody would be told"):
        telling("  %7 = atomicrmw add ptr %1, i32 1 monotonic")
