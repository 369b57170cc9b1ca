"""The tar reader takes what Python's tarfile writes for edgec, and refuses all else in bounded memory."""

import io
import tarfile
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.runtime.bundle.ustar import BLOCK, TarError, entries
from targets.runtime.device_limits import PATH_BYTES

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=60
)
FILES = st.dictionaries(st.builds("top/{}/{}".format, NAMES, NAMES), st.binary(max_size=2000), max_size=4)


def written(files: dict[str, bytes], **fields: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for field, value in fields.items():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def read(raw: bytes) -> dict[str, bytes]:
    return {entry.name: entry.content.read(entry.size) for entry in entries(io.BytesIO(raw))}


@given(FILES)
def test_what_tarfile_writes_is_read_back(files: dict[str, bytes]) -> None:
    assert read(written(files)) == files


@given(FILES, st.data())
def test_a_changed_or_cut_tar_is_read_or_refused_but_never_crashes(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    raw = bytearray(written(files))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(TarError, EOFError):
        read(bytes(raw[: data.draw(st.integers(0, len(raw)))]))


def header(kind: bytes, size: int) -> bytes:
    entry = tarfile.TarInfo("top/x")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.USTAR_FORMAT)


def test_a_header_that_claims_a_gigabyte_is_refused_unread() -> None:
    class Endless(io.BytesIO):
        """A pax header whose content would be zeros without end."""

        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size) or bytes(size or 0)

    tracemalloc.start()
    try:
        with pytest.raises(TarError, match="pax header of 1073741824 bytes"):
            list(entries(Endless(header(b"x", 1 << 30))))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_chain_of_headers_is_refused_at_its_second() -> None:
    record = b"14 path=top/x\n".ljust(BLOCK, b"\0")
    with pytest.raises(TarError, match="not a regular file"):
        list(entries(io.BytesIO((header(b"x", 14) + record) * 100_000)))


@pytest.mark.parametrize(
    "record", [b"13 size=1000\n", b"14 path=top/x", b"15 path=top/\xff\xff\n", b"path=top/x\n"]
)
def test_a_pax_header_holds_one_path_and_nothing_else(record: bytes) -> None:
    raw = header(b"x", len(record)) + record.ljust(BLOCK, b"\0") + header(b"0", 0) + bytes(2 * BLOCK)
    with pytest.raises(TarError):
        list(entries(io.BytesIO(raw)))
    assert len(record) < PATH_BYTES


def test_numbers_are_octal_digits_and_nothing_else() -> None:
    raw = bytearray(header(b"0", 0))
    raw[124:136] = b"\xff" * 10 + b"\xfe\0"  # -512 in base 256, as GNU writes it
    raw[148:156] = b"%06o\0 " % (sum(raw) - sum(raw[148:156]) + 8 * 32)
    with pytest.raises(TarError, match="has the number"):
        list(entries(io.BytesIO(bytes(raw))))


def test_what_follows_the_end_is_refused() -> None:
    raw = written({"top/x": b"1"})
    for more in (b"\1", bytes(20000), b"more" * 1000):
        with pytest.raises(TarError, match="its end is not"):
            read(raw + more)
