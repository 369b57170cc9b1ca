"""Changed bundles, manifests, settings and networks end in a named error or are read: nothing else.

The same few examples in every run; `make fuzz SECONDS=` looks for others.
"""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.readers import CORPUS, READERS
from tests.fuzz.sound_files import SOUND, sound

FOUND = sorted((CORPUS / "found").iterdir())
"""Inputs that once were a traceback, named READER or READER.NUMBER."""
WAYS = ["set", "insert", "cut", "repeat"]
CHANGES = st.lists(
    st.tuples(st.sampled_from(WAYS), st.integers(0, 1 << 16), st.binary(max_size=9)),
    min_size=1,
    max_size=5,
)


def changed(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for how, where, data in changes:
        at = where % (len(content) + 1)
        match how:
            case "set":
                content = content[:at] + data + content[at + len(data) :]
            case "insert":
                content = content[:at] + data + content[at:]
            case "cut":
                content = content[:at] + content[at + len(data) :]
            case _:
                content = content[:at] + content[max(0, at - 40) : at] * len(data) + content[at:]
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changed")


def test_every_reader_has_a_file_that_it_takes(folder: Path) -> None:
    assert READERS.keys() == SOUND.keys()
    for name, read in READERS.items():
        read(sound(name, folder), folder)


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.name)
def test_what_the_fuzzer_found_is_read_or_refused_by_name(found: Path, tmp_path: Path) -> None:
    READERS[found.name.partition(".")[0]](found.read_bytes(), tmp_path)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=40, deadline=None)
@given(changes=CHANGES)
@example(changes=[("insert", 567, b"\xa0\xe0")])  # damage that shows within a file of a bundle
@example(changes=[("cut", 560, b"123456")])
def test_a_changed_file_is_refused_by_name_or_read(
    folder: Path, reader: str, changes: list[tuple[str, int, bytes]]
) -> None:
    READERS[reader](changed(sound(reader, folder), changes), folder)
