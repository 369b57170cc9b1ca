"""Nobody is told what is built, and nothing is kept outside the output folder but in its two caches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_a_build_leaves_nothing_in_the_home_and_temporary_folders(quick: Path, tmp_path: Path) -> None:
    """onnxruntime's telemetry, were it on, would keep identifiers in both."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    caches = tmp_path / "caches"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(temporary)}
    environment |= {"XDG_CACHE_HOME": str(caches), "ZIG_GLOBAL_CACHE_DIR": os.environ["ZIG_GLOBAL_CACHE_DIR"]}
    command = [sys.executable, "-m", "pipeline", "build", "--config", str(quick)]
    subprocess.run(
        [*command, "--out", str(tmp_path / "out")], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    left = [*home.rglob("*"), *temporary.rglob("*")]
    locks = temporary / f"edgec-{os.getuid()}"  # docs/cache.md
    assert {path for path in left if path.parent != locks} == {locks}
    assert {(path.suffix, path.read_bytes()) for path in locks.iterdir()} == {(".turn", b""), (".work", b"")}
    assert {path.name for path in caches.glob("*")} <= {"edgec"}, "what docs/cache.md names, besides zig's"
