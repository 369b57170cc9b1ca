"""edgec cache shows, verifies and prunes the store, and leaves alone what a build in progress uses."""

import json
import os
import time
from pathlib import Path

import pytest

from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.progress import Silent
from tests.conftest import Edgec
from tests.pipeline.cache.notes import Note

DAY_S = 86_400


def stored(out: Path, **texts: float) -> None:
    """Store notes of 1 MiB each, by how many days ago they were used, each by a build of its name."""
    store = Store(out / "store")
    for text, days in texts.items():
        stage: Stage = Note(text * (2**20 // len(text)))
        product = store.make(stage, Silent())
        store.record(f"build-{text}", product)
        used = time.time() - days * DAY_S
        os.utime(out / "store" / "used" / stage.key(), (used, used))


def left(edgec: Edgec, out: Path) -> set[str]:
    done = edgec("cache", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return {row["build"] for row in json.loads(done.stdout)["builds"]}


def test_it_shows_size_by_build(edgec: Edgec, tmp_path: Path) -> None:
    stored(tmp_path, a=3, b=0)
    told = json.loads(edgec("cache", "--out", tmp_path, "--json").stdout)
    assert [row["build"] for row in told["builds"]] == ["build-a", "build-b"]
    assert all(2**20 < row["bytes"] < 2**20 + 1000 for row in told["builds"])
    assert told["bytes"] == sum(row["bytes"] for row in told["builds"])
    assert [round(row["days_unused"]) for row in told["builds"]] == [3, 0]
    assert "build-a" in edgec("cache", "--out", tmp_path).stdout


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        ((), {"a", "b"}),
        (("--days", "10"), {"b"}),
        (("--days", "0.5"), set()),
        (("--limit", str(1.5 / 1024)), {"b"}),
        (("--limit", "0"), set()),
    ],
)
def test_it_prunes_by_age_and_to_a_limit(
    edgec: Edgec, tmp_path: Path, options: tuple[str, ...], stays: set[str]
) -> None:
    stored(tmp_path, a=20, b=1, c=31)
    done = edgec("cache", "prune", "--out", tmp_path, "--json", *options)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["removed"]) == 3 - len(stays)
    assert left(edgec, tmp_path) == {f"build-{text}" for text in stays}


def test_it_prunes_nothing_while_a_build_lasts(edgec: Edgec, tmp_path: Path) -> None:
    stored(tmp_path, a=99)
    store = Store(tmp_path / "store")
    done = edgec("cache", "prune", "--out", tmp_path)
    assert done.returncode == 1
    assert "A build is using" in done.stderr
    del store
    assert edgec("cache", "prune", "--out", tmp_path).returncode == 0


def test_it_verifies_every_byte(edgec: Edgec, tmp_path: Path) -> None:
    stored(tmp_path, a=0, b=0)
    assert edgec("cache", "verify", "--out", tmp_path).returncode == 0
    damaged = next(tmp_path.rglob("note.txt"))
    damaged.write_bytes(b"-" + damaged.read_bytes()[1:])
    done = edgec("cache", "verify", "--out", tmp_path)
    assert done.returncode == 1
    assert f"{damaged.parent}: note.txt differs from what was stored" in done.stdout
    (one,) = json.loads(edgec("cache", "verify", "--out", tmp_path, "--json").stdout)
    assert one["folder"] == str(damaged.parent)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("cache",), 2, "There is no store at"),
        (("cache", "verify"), 2, "There is no store at"),
        (("cache", "prune"), 2, "There is no store at"),
        (("cache", "prune", "--days", "-1"), 2, "0 or more"),
        (("cache", "prune", "--limit", "nan"), 2, "0 or more"),
        (("cache", "prune", "--days", "many"), 2, "--days"),
        (("cache", "--json", "verify"), 2, "after the command"),
        (("cache", "forget"), 2, "forget"),
    ],
)
def test_wrong_usage_is_told(
    edgec: Edgec, tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = edgec(*arguments, cwd=tmp_path)
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (code, True, False)
