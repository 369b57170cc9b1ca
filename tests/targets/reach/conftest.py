"""Devices that tests can reach."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.targets.reach.sshd import Sshd, make_sshd


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A running SSH server that this process's ssh knows; use with the mark `needs_sshd`."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    server = make_sshd(folder)
    monkeypatch.setenv("EDGEC_SSH_CONFIG", str(server.config))
    server.start()
    yield server
    server.cut()
    server.stop()
