"""What a deployment advises."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.bundle import deploy as deployment
from pipeline.bundle.deploy import SPARE, deploy
from pipeline.progress import Silent
from targets.errors import DeviceError
from targets.reach.probe import probe
from tests.pipeline.advice.followed import check_advice
from tests.targets.reach.conftest import sshd  # noqa: F401 - a fixture
from tests.targets.reach.sshd import Sshd, needs_sshd


@needs_sshd
def test_room_on_the_device_helps(
    sshd: Sshd,  # noqa: F811
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sshd.give_this_python(tmp_path / "bin")
    room = [SPARE * bundle.stat().st_size - 1, SPARE * bundle.stat().st_size]
    monkeypatch.setattr(deployment, "probe", lambda device: replace(probe(device), free_bytes=room[0]))
    check_advice(
        "MiB free; the bundle needs about",
        lambda: deploy(sshd.device, bundle, (), Silent()),
        lambda: room.pop(0),
        DeviceError,
    )
    assert (sshd.home / "edgec" / "resnet20-fashion-reference" / "current").is_dir()
