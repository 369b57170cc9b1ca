"""Unpacks the one gzip member that a bundle is, in time and memory that its packed size bounds.

Python's gzip module reads the file name in a header byte by byte, and any number of empty members: 64 MiB of
them take half a minute. Here zlib reads the header (RFC 1952), and nothing may follow the member.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

CHUNK = 1 << 16
GZIP = 16 + zlib.MAX_WBITS
"""With this zlib reads gzip's header, and compares its checksum and length at the end."""


class GzipMember:
    """A file that is one gzip member, from where it stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = zlib.decompressobj(GZIP)

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end.

        Raises zlib.error where the member is damaged, EOFError where it is cut off or something follows it.
        """
        found = bytearray()
        while len(found) < size and not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._file.read(CHUNK)
            if not packed:
                raise EOFError("it is cut off")
            found += self._unpacker.decompress(packed, size - len(found))
        if self._unpacker.eof and (self._unpacker.unused_data or self._file.read(1)):
            raise EOFError("something follows its end")
        return bytes(found)
