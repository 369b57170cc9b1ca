"""edgec's engine is timed again without a build, but never silently one of other code or another model."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import cpu_peers
from benchmarks.cpu_peers import PEERS, build
from benchmarks.peers.network import CASES

CASE = CASES["resnet20"]


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder with a network, and the builds that ran since then."""
    place, ran = tmp_path / CASE.name, list[str]()
    place.mkdir()
    (place / "logits.npy").touch()
    (place / "model.int8.onnx").write_bytes(b"a network")

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command[-2])
        (place / "model.engine").write_bytes(b"an engine")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_an_engine_is_built_again_only_if_what_it_is_made_from_has_changed(
    builds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = PEERS[:1]
    build(CASE, ours, tmp_path, "avx2")
    build(CASE, ours, tmp_path, "avx2")
    assert len(builds) == 1
    build(CASE, ours, tmp_path, "sse4")
    (tmp_path / CASE.name / "model.int8.onnx").write_bytes(b"another network")
    build(CASE, ours, tmp_path, "sse4")
    monkeypatch.setattr(cpu_peers, "code_digest", lambda _: "of changed code")
    build(CASE, ours, tmp_path, "sse4")
    monkeypatch.setattr(cpu_peers, "digest", lambda _: "of tuned sizes")
    build(CASE, ours, tmp_path, "sse4")
    assert len(builds) == 5


def test_as_built_takes_an_engine_of_other_code_and_says_so(
    builds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = PEERS[:1]
    build(CASE, ours, tmp_path, "avx2", as_built=True)
    assert len(builds) == 1, "there was none"
    assert "not of this code" not in capsys.readouterr().out
    monkeypatch.setattr(cpu_peers, "code_digest", lambda _: "of changed code")
    build(CASE, ours, tmp_path, "avx2", as_built=True)
    assert len(builds) == 1
    assert "edgec's engine is not of this code" in capsys.readouterr().out
