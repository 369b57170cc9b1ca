import os
from pathlib import Path

import numpy as np
import pytest

from targets.errors import EngineError
from targets.measure_apart import measure_in_child
from targets.runtime.measure import Settings
from tests.targets.runtime.sum_runner import RUNNER

QUICK = Settings(min_runs=20, max_runs=20, max_warmup_seconds=0.1)
IMAGES = np.ones((2, 4, 4, 3), np.uint8)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    (tmp_path / "sum_runner.py").write_text("print('a toolchain that talks')\n" + RUNNER)
    (tmp_path / "engine").write_text("3")
    return tmp_path / "engine"


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path.cwd()}"}


def test_an_engine_is_measured_in_another_process(engine: Path) -> None:
    (found,) = measure_in_child(
        [("sum_runner", engine)], IMAGES, QUICK, environment=environment(engine.parent)
    )
    assert len(found.runs_ns) == 20
    assert found.memory is not None


def test_two_engines_alternate(engine: Path) -> None:
    engines = [("sum_runner", engine), ("sum_runner", engine)]
    found = measure_in_child(engines, IMAGES, QUICK, environment=environment(engine.parent))
    assert [len(m.runs_ns) for m in found] == [20, 20]


def test_folders_of_the_user_are_not_taken_for_ours(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = environment(engine.parent)
    theirs = engine.parent / "targets"
    theirs.mkdir()
    (theirs / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(engine.parent)
    measure_in_child([("sum_runner", Path(engine.name))], IMAGES, QUICK, environment=ours)


def test_a_child_that_fails_says_why(engine: Path) -> None:
    engine.write_text("not a number")
    with pytest.raises(EngineError, match="invalid literal for int"):
        measure_in_child([("sum_runner", engine)], IMAGES, QUICK, environment=environment(engine.parent))
