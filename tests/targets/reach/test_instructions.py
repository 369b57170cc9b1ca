"""Counting is repeatable, and counts what a program really executes."""

from pathlib import Path

import numpy as np
import pytest

from targets.errors import EngineError
from targets.reach import emulator
from targets.reach.instructions import instructions_per_inference
from targets.runtime.zig import run_zig
from targets.tvm.link import STATIC
from tests.targets.needs import or_skip


@pytest.fixture(scope="module", autouse=True)
def emulated() -> None:
    or_skip(emulator.check)


# Reads images of one byte; spends 1000 turns of a two-instruction loop on each.
PROGRAM = """
#include <stdio.h>
int main(void) {
    while (getchar() != EOF) {
        long n = 1000;
        __asm__ volatile("1: subs %0, %0, #1\\n b.ne 1b" : "+r"(n));
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "loop.c").write_text(PROGRAM)
    linked = run_zig(["-target", "aarch64-linux-musl", *STATIC], [folder / "loop.c"], folder / "loop")
    assert linked.returncode == 0, linked.stderr
    return folder / "loop"


def test_a_known_loop_is_counted(program: Path) -> None:
    images = np.ones((8, 1, 1, 1), np.uint8)
    counts = {instructions_per_inference(program, "cortex-a72", images) for _ in range(3)}
    assert len(counts) == 1
    assert 2000 <= counts.pop() <= 2100  # the loop, and what reading a byte takes


def test_a_program_that_fails_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"no program")
    with pytest.raises(EngineError, match="counting the instructions"):
        instructions_per_inference(tmp_path / "none", "cortex-a72", np.ones((1, 1, 1, 1), np.uint8))
