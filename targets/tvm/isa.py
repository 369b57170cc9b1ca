"""Instruction sets, as the kernel generator sees them."""

from dataclasses import dataclass, replace
from enum import StrEnum


class DotInstruction(StrEnum):
    """The instruction that multiplies and accumulates 8-bit integers."""

    VPDPBUSD = "vpdpbusd"
    """x86: 4 products a lane, uint8 x int8."""
    VPMADDWD = "vpmaddwd"
    """x86 without VNNI: 2 products a lane of operands widened to int16, so nothing saturates on the way."""
    SDOT = "sdot"
    """ARM: 4 products a lane, the activation taken from one lane of a register."""
    SMMLA = "smmla"
    """ARM i8mm: a 2x8 by 8x2 matrix product."""
    SMULL = "smull"
    """ARM without dot product: 16 products in int16 (smull, smlal2), then added pairwise (sadalp)."""


CENTRE = 1 << 15
"""By so much numbers of 16 bits are lowered to be int16."""
APART = 128 * 257
"""By so much 256 * high byte + low byte is lower than the number where both are stored 128 lower."""


@dataclass(frozen=True)
class Isa:
    """One instruction set. `lanes` is the number of int32 in a vector register."""

    name: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    dot: DotInstruction
    lanes: int
    registers: int

    @property
    def signed(self) -> bool:
        """Whether activations are stored as int8, 128 below their uint8 value: ARM multiplies int8."""
        return self.triple.startswith("aarch64")

    @property
    def lowest_weight(self) -> int:
        """-127 for SMULL: it adds two products in 16 bits, which 2 * 128 * 128 exceeds."""
        return -127 if self.dot is DotInstruction.SMULL else -128

    @property
    def multiplies_words(self) -> bool:
        """Whether products are of int16, so that bytes are widened first."""
        return self.dot is DotInstruction.VPMADDWD

    @property
    def bytes_apart(self) -> bool:
        """Whether numbers of 16 bits are stored as bytes, the low ones behind the high ones of a pixel.

        Where instructions multiply bytes only. Others take int16, as they are stored.
        """
        return self.signed

    @property
    def for_wide(self) -> "Isa":
        """How convolutions that read 16 bits are computed: not by pairs of pixels."""
        return replace(self, dot=DotInstruction.SDOT) if self.dot is DotInstruction.SMMLA else self

    @property
    def stored(self) -> str:
        """The type of stored activations."""
        return "int8" if self.signed else "uint8"


_X86 = "x86_64-linux-gnu"
_ARM = "aarch64-linux-gnu"

ISAS = {
    isa.name: isa
    for isa in (
        Isa(
            "avx512vnni", _X86, "x86-64-v4", ("+avx512vnni", "+fast-dpwssd"), DotInstruction.VPDPBUSD, 16, 32
        ),
        Isa("avxvnni", _X86, "x86-64-v3", ("+avxvnni", "+fast-dpwssd"), DotInstruction.VPDPBUSD, 8, 16),
        Isa("avx512", _X86, "x86-64-v4", (), DotInstruction.VPMADDWD, 16, 32),
        Isa("avx2", _X86, "x86-64-v3", (), DotInstruction.VPMADDWD, 8, 16),
        Isa("sse4", _X86, "x86-64-v2", (), DotInstruction.VPMADDWD, 4, 16),
        Isa("i8mm", _ARM, "neoverse-v1", ("+neon", "+dotprod", "+i8mm", "-sve"), DotInstruction.SMMLA, 4, 32),
        Isa("dotprod", _ARM, "cortex-a76", ("+neon", "+dotprod"), DotInstruction.SDOT, 4, 32),
        Isa("neon", _ARM, "cortex-a72", ("+neon",), DotInstruction.SMULL, 4, 32),
    )
}
"""All instruction sets, the fastest of a family first."""
