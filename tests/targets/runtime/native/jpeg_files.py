"""JPEG files of every kind, of random coefficients, written by the specification (ITU-T T.81)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Blocks = NDArray[np.int64]
"""Coefficients [rows, columns, 64], by zigzag."""
DC_CODES = bytes([0, 0, 0, 0, 16, *[0] * 11]) + bytes(range(16))
"""How many codes of each length there are, and their values: all of 5 bits."""
AC_CODES = bytes([*[0] * 7, 128, 0, 0, 0, 128, *[0] * 4]) + bytes(range(256))
"""Of 8 and of 12 bits."""
MOST_SKIPPED = 32767


@dataclass(frozen=True)
class JpegKind:
    """How a picture is stored.

    `sampling` has across and down of each component. `apart`: a scan for each component. `lowest`: down to
    which bit a progressive picture's first scans go; the others come after them, one by one.
    """

    sampling: tuple[tuple[int, int], ...]
    names: bytes = b"\1\2\3\4"
    progressive: bool = False
    apart: bool = False
    restart: int = 0
    lowest: int = 0
    largest: int = 40
    markers: tuple[bytes, ...] = ()
    """What stands before the picture."""
    wide_steps: bool = False


def segment(marker: int, data: bytes) -> bytes:
    """Return a segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(data)) + data


def jfif() -> bytes:
    """Return the marker that says: Y, Cb and Cr."""
    return segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0")


def adobe(transform: int) -> bytes:
    """Return the marker that says whether colours were transformed."""
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


@dataclass
class Bits:
    """The bits of a scan."""

    text: list[str] = field(default_factory=list)

    def put(self, value: int, count: int) -> None:
        """Add a number of so many bits."""
        if count:
            self.text.append(f"{value:0{count}b}")

    def symbol(self, value: int) -> None:
        """Add the code of an AC value."""
        self.put(value, 8) if value < 128 else self.put(value + 1920, 12)

    def bytes(self) -> bytes:
        """Return them, filled up with ones, with 00 behind each FF."""
        bits = "".join(self.text)
        bits += "1" * (-len(bits) % 8)
        whole = int(bits or "0", 2).to_bytes(len(bits) // 8, "big")
        return whole.replace(b"\xff", b"\xff\0")


def _size(value: int) -> int:
    return abs(value).bit_length()


def _extra(bits: Bits, value: int) -> None:
    count = _size(value)
    bits.put(value if value >= 0 else value + (1 << count) - 1, count)


@dataclass
class Scan:
    """A part of a picture: which coefficients, and which of their bits. Each symbol is its own code."""

    first: int = 0
    last: int = 63
    high: int = 0
    low: int = 0
    bits: Bits = field(default_factory=Bits)
    before: dict[int, int] = field(default_factory=dict)
    skipped: int = 0
    waiting: list[int] = field(default_factory=list)

    def dc(self, which: int, block: NDArray[np.int64]) -> None:
        """Write a DC coefficient."""
        if self.high:
            self.bits.put(int(block[0]) >> self.low & 1, 1)
            return
        value = int(block[0]) >> self.low
        difference = value - self.before.get(which, 0)
        self.before[which] = value
        self.bits.put(_size(difference), 5)
        _extra(self.bits, difference)

    def sequential(self, block: NDArray[np.int64]) -> None:
        """Write the AC coefficients of a sequential picture."""
        zeros = 0
        for value in block[1:].tolist():
            if not value:
                zeros += 1
                continue
            self._zeros_and_value(zeros, value)
            zeros = 0
        if zeros:
            self.bits.symbol(0)

    def ac(self, block: NDArray[np.int64]) -> None:
        """Write AC coefficients of a progressive picture: their upper bits, or the next bit."""
        if self.high:
            self._refine(block)
            return
        band = [_towards_zero(value, self.low) for value in block[self.first : self.last + 1].tolist()]
        zeros = 0
        for value in band:
            if not value:
                zeros += 1
                continue
            self.flush()
            self._zeros_and_value(zeros, value)
            zeros = 0
        if zeros:
            self.skip()

    def _zeros_and_value(self, zeros: int, value: int) -> None:
        while zeros > 15:
            self.bits.symbol(0xF0)
            zeros -= 16
        self.bits.symbol(zeros << 4 | _size(value))
        _extra(self.bits, value)

    def _refine(self, block: NDArray[np.int64]) -> None:
        """Figure G.7."""
        band = block[self.first : self.last + 1].tolist()
        now = [abs(value) >> self.low for value in band]
        new = [place for place, value in enumerate(now) if value == 1]
        zeros, corrections = 0, []
        for place, value in enumerate(now):
            if value > 1:
                corrections.append(value & 1)
                continue
            if value == 0:
                zeros += 1
                if zeros == 16 and place < max(new, default=-1):
                    self.flush()
                    self._symbol_and_corrections(0xF0, corrections)
                    zeros, corrections = 0, []
                continue
            self.flush()
            self.bits.symbol(zeros << 4 | 1)
            self.bits.put(int(band[place] > 0), 1)
            for bit in corrections:
                self.bits.put(bit, 1)
            zeros, corrections = 0, []
        if zeros or corrections:
            self.waiting += corrections
            self.skip()

    def _symbol_and_corrections(self, symbol: int, corrections: list[int]) -> None:
        self.bits.symbol(symbol)
        for bit in corrections:
            self.bits.put(bit, 1)

    def skip(self) -> None:
        """Count a block whose band has ended."""
        self.skipped += 1
        if self.skipped == MOST_SKIPPED:
            self.flush()

    def flush(self) -> None:
        """Write how many bands have ended."""
        if self.skipped:
            size = self.skipped.bit_length() - 1
            self.bits.symbol(size << 4)
            self.bits.put(self.skipped - (1 << size), size)
        for bit in self.waiting:
            self.bits.put(bit, 1)
        self.skipped, self.waiting = 0, []


def _towards_zero(value: int, low: int) -> int:
    return value >> low if value >= 0 else -(-value >> low)


def _up(value: int, by: int) -> int:
    return -(-value // by)


@dataclass(frozen=True)
class JpegPicture:
    """A kind's picture of a size: its components' blocks."""

    kind: JpegKind
    height: int
    width: int
    components: tuple[Blocks, ...]

    @classmethod
    def random(cls, kind: JpegKind, height: int, width: int, rng: np.random.Generator) -> JpegPicture:
        """Return a picture of few coefficients, some of them large."""
        across, down = (max(one[i] for one in kind.sampling) for i in (0, 1))
        columns, rows = _up(width, 8 * across), _up(height, 8 * down)
        components = []
        for wide, high in kind.sampling:
            shape = (rows * high, columns * wide, 64)
            blocks = rng.integers(-kind.largest, kind.largest + 1, shape) >> rng.integers(0, 7, shape)
            blocks[rng.random(shape) < rng.choice([0.3, 0.9, 1.0])] = 0
            blocks[..., 0] = rng.integers(-kind.largest, kind.largest + 1, shape[:2])
            components.append(blocks)
        return cls(kind, height, width, tuple(components))

    def file(self, rng: np.random.Generator) -> bytes:
        """Return the file."""
        kind = self.kind
        most = 65536 if kind.wide_steps else 256
        steps = rng.integers(1, rng.choice([3, 20, most]), 64)
        table = b"\x10" + steps.astype(">u2").tobytes() if kind.wide_steps else b"\0" + bytes(steps.tolist())
        parts = [b"\xff\xd8", *kind.markers, segment(0xDB, table)]
        each = b"".join(
            bytes([name, wide << 4 | high, 0])
            for name, (wide, high) in zip(kind.names, kind.sampling, strict=False)
        )
        head = struct.pack(">BHHB", 8, self.height, self.width, len(kind.sampling)) + each
        parts.append(segment(0xC2 if kind.progressive else 0xC1, head))
        parts.append(segment(0xC4, b"\0" + DC_CODES + b"\x10" + AC_CODES))
        if kind.restart:
            parts.append(segment(0xDD, struct.pack(">H", kind.restart)))
        parts += self._scans()
        return b"".join([*parts, b"\xff\xd9"])

    def _scans(self) -> Iterator[bytes]:
        kind = self.kind
        every = list(range(len(kind.sampling)))
        together = [[one] for one in every] if kind.apart else [every]
        if not kind.progressive:
            for members in together:
                yield self._scan(members, 0, 63, 0, 0)
            return
        for low in range(kind.lowest, -1, -1):
            high = 0 if low == kind.lowest else low + 1
            for members in together:
                yield self._scan(members, 0, 0, high, low)
            for one in every:
                for first, last in ((1, 5), (6, 63)):
                    yield self._scan([one], first, last, high, low)

    def _scan(self, members: list[int], first: int, last: int, high: int, low: int) -> bytes:
        kind = self.kind
        names = b"".join(bytes([kind.names[one], 0]) for one in members)
        head = bytes([len(members)]) + names + bytes([first, last, high << 4 | low])
        scan, coded, restarts = Scan(first, last, high, low), [], 0
        for number, unit in enumerate(self._units(members)):
            if kind.restart and number and number % kind.restart == 0:
                scan.flush()
                coded += [scan.bits.bytes(), bytes([0xFF, 0xD0 + restarts % 8])]
                scan, restarts = Scan(first, last, high, low), restarts + 1
            for which, block in unit:
                self._write(scan, which, block)
        scan.flush()
        return b"".join([segment(0xDA, head), *coded, scan.bits.bytes()])

    def _write(self, scan: Scan, which: int, block: NDArray[np.int64]) -> None:
        if not scan.first:
            scan.dc(which, block)
        if not self.kind.progressive:
            scan.sequential(block)
        elif scan.first:
            scan.ac(block)

    def _units(self, members: list[int]) -> Iterator[list[tuple[int, NDArray[np.int64]]]]:
        """Yield the blocks of each MCU (A.2): of one component its blocks inside the picture alone."""
        across, down = (max(one[i] for one in self.kind.sampling) for i in (0, 1))
        if len(members) == 1:
            (which,) = members
            wide, high = self.kind.sampling[which]
            rows, columns = _up(_up(self.height * high, down), 8), _up(_up(self.width * wide, across), 8)
            for y in range(rows):
                for x in range(columns):
                    yield [(which, self.components[which][y, x])]
            return
        for y in range(_up(self.height, 8 * down)):
            for x in range(_up(self.width, 8 * across)):
                yield [
                    (which, self.components[which][y * high + i, x * wide + j])
                    for which, (wide, high) in ((one, self.kind.sampling[one]) for one in members)
                    for i in range(high)
                    for j in range(wide)
                ]


def jpeg(kind: JpegKind, height: int, width: int, rng: np.random.Generator) -> bytes:
    """Return a file of this kind with random coefficients."""
    return JpegPicture.random(kind, height, width, rng).file(rng)
