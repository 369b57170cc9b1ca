"""The exit code of a build follows its gates."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from pipeline.cli.app import app
from targets import registry
from targets.base import EngineRunner
from targets.reference import ReferenceTarget


class Wrong:
    """A runner that names the next class instead of the right one."""

    def __init__(self, right: EngineRunner) -> None:
        self._right = right

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.roll(self._right.infer(images), 1, axis=1)


class BrokenTarget(ReferenceTarget):
    """A toolchain with a bug."""

    name: ClassVar[str] = "broken"

    @contextmanager
    def open(self, engine: Path) -> Iterator[EngineRunner]:
        with super().open(engine) as right:
            yield Wrong(right)


@pytest.mark.parametrize(("target", "code", "verdict"), [("broken", 1, "fail"), ("reference", 0, "pass")])
def test_a_failed_gate_is_exit_code_1_and_still_reported(
    monkeypatch: pytest.MonkeyPatch,
    quick: Path,
    warm_out: Path,
    tmp_path: Path,
    target: str,
    code: int,
    verdict: str,
) -> None:
    monkeypatch.setitem(registry.TARGETS, "broken", BrokenTarget)
    config = tmp_path / "loose.toml"
    config.write_text(quick.read_text().replace("images = 300", "images = 300\nmax_drop = 5"))
    arguments = [
        "build",
        "--config",
        str(config),
        "--out",
        str(warm_out),
        "--target",
        target,
        "--json",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code
    report = json.loads(done.stdout)["report"]
    assert report["verdict"] == verdict
    assert (warm_out / f"resnet20-fashion-{target}.edgec").is_file()
