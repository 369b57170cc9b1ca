"""Devices that tests can reach."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.targets.reach.sshd import Sshd, running_sshd


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A running SSH server that this process's ssh knows; use with the mark `needs_sshd`."""
    with running_sshd(tmp_path / "sshd", monkeypatch) as server:
        yield server
