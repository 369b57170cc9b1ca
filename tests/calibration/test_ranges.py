import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import RangesError
from calibration.observers import Range
from calibration.ranges import Ranges

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(st.text(min_size=1), st.tuples(finite, finite).map(sorted)))
def test_saving_and_loading_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, found: dict[str, list[float]]
) -> None:
    ranges = Ranges("ab" * 32, "w8a8_sym", 512, {name: Range(*r) for name, r in found.items()})
    path = tmp_path_factory.mktemp("ranges") / "ranges.json"
    ranges.save(path)
    assert Ranges.load(path) == ranges


def _saved(path: Path) -> dict[str, object]:
    Ranges("ab" * 32, "w8a8_sym", 512, {"x": Range(0, 1)}).save(path)
    record: dict[str, object] = json.loads(path.read_text())
    return record


def test_the_file_says_what_it_was_made_from(tmp_path: Path) -> None:
    record = _saved(tmp_path / "ranges.json")
    assert (record["format"], record["version"]) == ("edgec-ranges", 1)
    assert (record["model"], record["recipe"], record["images"]) == ("ab" * 32, "w8a8_sym", 512)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "reads edgec-ranges version 1"),
        ({"images": 0}, "images"),
        ({"tensors": {"x": {"low": 0}}}, "tensors.x.high"),
        ({"tensors": {"x": {"low": 1, "high": 0}}}, r"range of 'x' is \[1.0, 0.0\]"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(json.dumps(_saved(path) | change))
    with pytest.raises(RangesError, match=message):
        Ranges.load(path)


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"\xff\xfe", b'{"tensors": {"x": {"low": 0, "high": NaN}}}']
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ranges.json").write_bytes(content)
    with pytest.raises(RangesError, match=r"ranges.json"):
        Ranges.load(tmp_path / "ranges.json")
