"""Digests of our own sources, kept from run to run."""

from pathlib import Path

import pytest

from pipeline.cache import remembered_code
from pipeline.cache.code_at_start import AT_START, ROOT
from pipeline.cache.own_code import code_digest
from pipeline.cache.remembered_code import RememberedCode

PLACES = (ROOT / "pipeline" / "stages" / "calibrate.py", ROOT / "targets" / "runtime")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had edited the code within the last minute, also right after a checkout."""
    monkeypatch.setattr(remembered_code, "is_settled", lambda: True)


def remembered(file: Path, places: tuple[Path, ...] = PLACES) -> RememberedCode:
    code = RememberedCode(file)
    assert code(places) == code_digest(places)
    code.save()
    return RememberedCode(file)


def read(_: tuple[Path, ...]) -> str:
    return "read again"


@pytest.mark.usefixtures("settled")
def test_it_is_not_read_again_in_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = remembered(tmp_path / "code.json")
    monkeypatch.setattr(remembered_code, "code_digest", read)
    assert code(PLACES) == code_digest(PLACES)
    assert code(PLACES[:1]) == "read again"


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", ["touched", "added", "removed"])
def test_a_change_to_any_file_forgets_all(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered(tmp_path / "code.json")
    one = str(ROOT / "calibration" / "grid.py")
    *unchanged, changed_at = AT_START[one]
    now = dict(AT_START)
    if change == "touched":
        now[one] = (*unchanged, changed_at + 1)
    elif change == "added":
        now[str(ROOT / "calibration" / "new.py")] = AT_START[one]
    else:
        del now[one]
    monkeypatch.setattr(remembered_code, "AT_START", now)
    remembered_code.identities.cache_clear()
    monkeypatch.setattr(remembered_code, "code_digest", read)
    assert RememberedCode(tmp_path / "code.json")(PLACES) == "read again"
    monkeypatch.undo()
    remembered_code.identities.cache_clear()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '["0", "0", {}]', "[[], {}, 3]"])
def test_a_damaged_file_is_as_none(content: str, tmp_path: Path) -> None:
    file = tmp_path / "code.json"
    file.write_text(content)
    assert RememberedCode(file)(PLACES) == code_digest(PLACES)


@pytest.mark.usefixtures("settled")
def test_a_digest_that_was_edited_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "code.json"
    remembered(file)
    file.write_text(file.read_text().replace(code_digest(PLACES), "0" * 64))
    assert RememberedCode(file)(PLACES) == code_digest(PLACES)


def test_code_that_was_edited_just_now_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered_code, "is_settled", lambda: False)
    remembered(tmp_path / "code.json")
    assert not (tmp_path / "code.json").exists()


@pytest.mark.usefixtures("settled")
def test_code_outside_the_packages_is_not_remembered(tmp_path: Path) -> None:
    """No identity of it is known."""
    remembered(tmp_path / "code.json", (Path(__file__),))
    assert not (tmp_path / "code.json").exists()
