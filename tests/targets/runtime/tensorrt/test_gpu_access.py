import os
from pathlib import Path

import pytest

from targets.runtime.tensorrt import gpu_access
from targets.runtime.tensorrt.gpu_access import closed_nodes, explanation


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Device files of an Orin with JetPack 6, whose groups are made up here."""
    for name in ("dev/nvmap", "dev/nvhost-gpu", "dev/dri/renderD128"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    groups = {"nvmap": "video", "nvhost-gpu": "video", "renderD128": "render"}
    monkeypatch.setattr(Path, "group", lambda path: groups[path.name])
    monkeypatch.setattr(gpu_access, "user_name", lambda: "ann")
    return tmp_path


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name not in names)


def test_a_user_outside_the_groups_reads_the_command_that_helps(
    jetson: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "nvmap", "renderD128")
    assert closed_nodes(jetson) == [jetson / "dev/nvmap", jetson / "dev/dri/renderD128"]
    assert explanation(jetson) == (
        f"ann may not open {jetson}/dev/nvmap, {jetson}/dev/dri/renderD128: "
        "sudo usermod --append --groups render,video ann, then log in again"
    )


def test_nodes_of_root_alone_need_sudo(jetson: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "nvmap")
    monkeypatch.setattr(Path, "group", lambda _: "root")
    assert explanation(jetson).endswith("/dev/nvmap, which belong to root alone: run this with sudo")


def test_without_obstacles_nothing_is_reported(jetson: Path, tmp_path: Path) -> None:
    assert explanation(jetson) == ""
    assert explanation(tmp_path / "a machine without a GPU") == ""
