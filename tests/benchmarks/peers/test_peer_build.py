"""What the engines that are compared are built from, and what happens where one can't be built."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.peers import peer_build
from benchmarks.peers.network import CASES
from benchmarks.peers.peer_build import build
from benchmarks.peers.peer_engine import PEERS, PeerEngine

CASE = CASES["resnet20"]


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder with a network, and the builds that ran since then."""
    place, ran = tmp_path / CASE.name, list[str]()
    place.mkdir()
    (place / "logits.npy").touch()
    (place / "model.int8.onnx").write_bytes(b"a network")

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command[-3])
        if "run_litert" in command[-3]:
            return subprocess.CompletedProcess(
                command, 1, "", "Traceback\nKeyError: 'relu_5' has no observer\n"
            )
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
    monkeypatch.setattr(peer_build, "code_digest", lambda _: "of changed code")
    build(CASE, ours, tmp_path, "sse4")
    monkeypatch.setattr(peer_build, "digest", lambda _: "of tuned sizes")
    build(CASE, ours, tmp_path, "sse4")
    assert len(builds) == 5


def test_as_built_takes_an_engine_of_other_code_and_says_so(
    builds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = PEERS[:1]
    build(CASE, ours, tmp_path, "avx2", as_built=True)
    assert len(builds) == 1, "there was none"
    assert "not of this code" not in capsys.readouterr().out
    monkeypatch.setattr(peer_build, "code_digest", lambda _: "of changed code")
    build(CASE, ours, tmp_path, "avx2", as_built=True)
    assert len(builds) == 1
    assert "edgec's engine is not of this code" in capsys.readouterr().out


@pytest.mark.usefixtures("builds")
def test_a_peer_that_cannot_build_a_network_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PeerEngine, "python", lambda *_: Path("python"))
    ours, litert = PEERS[0], next(peer for peer in PEERS if peer.name == "litert")
    built = build(CASE, (ours, litert), tmp_path, "avx2")
    assert built.peers == (ours,)
    assert "litert cannot build resnet20: KeyError: 'relu_5' has no observer" in capsys.readouterr().out


@pytest.mark.usefixtures("builds")
def test_edgec_that_cannot_build_a_network_ends_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "no compiler")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(RuntimeError, match="edgec could not build resnet20:\nno compiler"):
        build(CASE, PEERS[:1], tmp_path, "avx2")
