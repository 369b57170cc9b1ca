"""A stage opens nothing of the user's but its inputs, and each of those counts by its bytes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.damage import NAMED
from pipeline.cache.code_at_start import ROOT
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.progress import Progress
from tests.pipeline.stages.listened_builds import KINDS, build, finish

pytestmark = pytest.mark.slow  # builds are listened to

OF_USERS = [kind for kind in KINDS if kind != "default_model"]
"""What edgec brings itself is not changed by a test."""
UNRECORDED = ("brought_graph", "graph_of_others")
"""Kinds of builds that leave no record (pipeline/build/build_record.py)."""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The files that a build of each kind opened."""
    folder = tmp_path_factory.mktemp("heard")
    command = [sys.executable, "-m", "tests.pipeline.stages.listened_builds", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_opens_nothing_but_its_inputs(kind: str, builds: dict[str, Any]) -> None:
    heard = builds[kind]["heard"]
    assert set(builds[kind]["weights"]) <= {path for _, path, _ in heard}, "every file of weights is heard"
    assert [(stage, path) for stage, path, is_input in heard if not is_input] == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in UNRECORDED])
def test_the_record_of_a_build_looks_at_all_that_stages_open(kind: str, builds: dict[str, Any]) -> None:
    places = builds[kind]["places"]
    opened = {path for _, path, _ in builds[kind]["heard"]}
    assert {path for path in opened if not any(Path(path).is_relative_to(place) for place in places)} == set()


def test_the_builds_have_the_stages_that_read(builds: dict[str, Any]) -> None:
    ran = {stage for kind in builds.values() for stage in kind["stages"]}
    first = {"export", "adopt", "adopt_quantised", "bring", "calibrate", "quantize", "compile", "peer"}
    assert ran >= first | {"attribute", "robustness", "diagnose", "report", "sample", "bundle"}
    assert ran >= {"measure", "validate"}


class RunsAgainError(Exception):
    """The store has no result of a stage for the files as they are now."""


@pytest.mark.parametrize("change", ["one bit", "removed"])
@pytest.mark.parametrize("kind", OF_USERS)
def test_what_was_opened_counts_by_its_bytes(
    kind: str, change: str, builds: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit that changes, size and time kept, or a file that goes: the build sees it before any stage."""
    told = builds[kind]

    make = Store.make

    def run(*_: object) -> None:
        raise RunsAgainError

    def make_of_what_is_stored(store: Store, stage: Stage, progress: Progress) -> Product:
        monkeypatch.setattr(type(stage), "run", run)
        return make(store, stage, progress)

    monkeypatch.setattr(Store, "make", make_of_what_is_stored)
    assert seen(told["options"], kind) is None, "without a change there is nothing to do"
    for path in one_of_each_kind(told):
        with changed(path, change):
            assert seen(told["options"], kind) is not None, path
    assert seen(told["options"], kind) is None


def seen(options: dict[str, object], kind: str) -> Exception | None:
    """Return why the stored results are not taken; None if they are."""
    try:
        finish(build(options), kind)
    except (RunsAgainError, *NAMED) as reason:
        return reason
    return None


def one_of_each_kind(told: dict[str, Any]) -> list[Path]:
    """Return the opened files, and those beside them; of PNGs only one a folder."""
    opened = [Path(path) for _, path, _ in told["heard"]]
    there = [path for place in {path.parent for path in opened} for path in place.iterdir() if path.is_file()]
    return list({path.parent if path.suffix == ".png" else path: path for path in there}.values())


@contextmanager
def changed(path: Path, change: str) -> Iterator[None]:
    before, content = path.stat(), path.read_bytes()
    path.unlink()
    if change == "one bit":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    yield
    path.write_bytes(content)
