"""What a device reports decides whether an engine can run there, before anything is sent."""

from dataclasses import replace

import pytest

from targets.reach.probe import BoardFacts

PI5 = BoardFacts(
    python=(3, 11, 2),
    machine="aarch64",
    system="Linux",
    board="Raspberry Pi 5",
    cpu_parts=("0xd0b",),
    cpu_flags=frozenset({"asimd", "asimddp"}),
    cores=4,
    memory_bytes=8 << 30,
    free_bytes=8 << 30,
    numpy="1.26",
    opencv="4.10",
)


@pytest.mark.parametrize("isa", ["neon", "dotprod"])
def test_a_board_runs_what_its_processor_has(isa: str) -> None:
    assert PI5.misfit(isa, "rpi5") == []


def test_another_architecture_is_named() -> None:
    (found,) = replace(PI5, machine="x86_64").misfit("dotprod", "rpi5")
    assert found == "it is x86_64, and engines for rpi5 are for aarch64"
    (found,) = PI5.misfit("avx2", "host")
    assert found == "it is aarch64, and engines for host are for x86_64"


def test_what_helps_an_older_x86_is_another_than_for_a_board() -> None:
    (found,) = replace(PI5, machine="x86_64", cpu_flags=frozenset({"avx2"})).misfit("avx512vnni", "host")
    assert found.endswith("which engines for host use; build with EDGEC_ISA=avx2")


def test_a_missing_instruction_is_named_with_what_to_do() -> None:
    (found,) = PI5.misfit("i8mm", "graviton3")
    assert "no i8mm, which engines for graviton3 use; build --target arm" in found
