"""One gzip member is read as Python's gzip reads it, and in few steps whatever its header holds."""

import gzip
import io
import random

import pytest

from targets.runtime.bundle.gzip_member import GzipMember

CONTENT = random.Random(0).randbytes(100_000) + b"\0" * 300_000


class CountedFile(io.BytesIO):
    """A file that counts how often it is read."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.mark.parametrize("size", [1_000, 65_536, 1_000_000])
def test_its_content_is_read_in_parts_of_any_size(size: int) -> None:
    member = GzipMember(io.BytesIO(gzip.compress(CONTENT)))
    parts = list(iter(lambda: member.read(size), b""))
    assert b"".join(parts) == CONTENT
    assert all(len(part) == size for part in parts[:-1])


def test_a_name_of_megabytes_is_passed_over_in_few_steps() -> None:
    packed = gzip.compress(CONTENT)
    file = CountedFile(packed[:3] + b"\x08" + packed[4:10] + b"a" * (2 << 20) + b"\0" + packed[10:])
    assert GzipMember(file).read(1_000) == CONTENT[:1_000]
    assert file.reads < 100


@pytest.mark.parametrize("behind", [b"\0", gzip.compress(b"", mtime=0), b"text"])
def test_nothing_may_follow_it(behind: bytes) -> None:
    member = GzipMember(io.BytesIO(gzip.compress(CONTENT) + behind))
    with pytest.raises(EOFError, match="something follows its end"):
        member.read(1_000_000)


@pytest.mark.parametrize("left", [1, 8, 1_000])
def test_one_that_is_cut_off_is_refused(left: int) -> None:
    member = GzipMember(io.BytesIO(gzip.compress(CONTENT)[:-left]))
    with pytest.raises(EOFError, match="it is cut off"):
        member.read(1_000_000)
