"""TOML from others: deep or long files are refused before they are parsed."""

import time
from pathlib import Path

import pytest

from pipeline.config import BuildConfig, load_config
from pipeline.errors import UsageError
from pipeline.known_devices import known_devices
from pipeline.reading.reading_limits import TOML_DEPTH
from pipeline.reading.toml_file import bounded_toml

DEEP = {
    "bare": "a." * TOML_DEPTH + "b = 1",
    "spaced": "a . " * TOML_DEPTH + "b = 1",
    "quoted": '"a". ' * TOML_DEPTH + "b = 1",
    "single quotes": "'a'." * TOML_DEPTH + "b = 1",
    "a table": "[" + "a." * TOML_DEPTH + "b]",
    "in a table": "x = {" + "a." * TOML_DEPTH + "b = 1}",
    "of half a megabyte": "a." * 500_000 + "b = 1",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_a_key_of_too_many_parts_is_refused(text: str, tmp_path: Path) -> None:
    """The last one took tomllib more than half an hour."""
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"a key has more than {TOML_DEPTH} parts"):
        load_config(BuildConfig, path, {})
    with pytest.raises(UsageError, match="cannot be used: a key has"):
        known_devices(path)


@pytest.mark.parametrize("text", [r'out = "a\u0000b"', r'data = "\U00000000"'])
def test_a_nul_in_a_path_is_refused_before_the_system_sees_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="a character that no name and no path can have"):
        load_config(BuildConfig, path, {})


@pytest.mark.parametrize(
    "text", ["k" * 1_000_000, '"' * 999_999, "'a" * 400_000, "a-" * 500_000, ". " * 500_000]
)
def test_the_check_itself_takes_time_in_proportion_to_the_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    before = time.process_time()
    with pytest.raises(ValueError, match=r"\(at "):
        bounded_toml(path)
    assert time.process_time() - before < 60  # with quadratic time this would take hours


def test_numbers_and_names_with_dots_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(f"mean = [{'0.5, ' * 1000}]\nname = '{'a.b/' * 1000}'\n{'a.' * (TOML_DEPTH - 2)}b = 1")
    assert bounded_toml(path)["mean"] == [0.5] * 1000
