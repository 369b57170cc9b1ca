"""Advice about a wrong environment variable, to give another value or to unset it. Both help."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.known_devices import devices_file
from pipeline.progress import Silent
from pipeline.training.free_cores import choose_threads
from targets.errors import DeviceError, TargetError
from targets.reach.ssh import SshAddress, SshDevice


def reach() -> None:
    """Start ssh, which finds no server."""
    with suppress(DeviceError):
        SshDevice(SshAddress.parse("ssh://127.0.0.1:1")).run(["true"])


FOLLOWED: dict[str, tuple[str, str, Callable[[], object]]] = {
    "XDG_CONFIG_HOME": (
        "config",
        ", which is not an absolute path. Give the path of a folder, or unset it.",
        devices_file,
    ),
    "EDGEC_SSH_CONFIG": (
        "/nowhere",
        ", which is not a file. Give a file like ~/.ssh/config, or unset it.",
        reach,
    ),
    "OMP_NUM_THREADS": (
        "two",
        "; it takes a number of threads from 1, such as 2. Give one, or unset it.",
        lambda: choose_threads(None, Silent()),
    ),
}


@pytest.mark.parametrize("variable", FOLLOWED)
def test_another_value_or_none_helps(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, said, use = FOLLOWED[variable]
    monkeypatch.setenv(variable, wrong)
    with pytest.raises((UsageError, TargetError)) as error:
        use()
    assert str(error.value) == f"{variable} is {wrong!r}{said}"
    (tmp_path / "config").touch()
    right = {"XDG_CONFIG_HOME": tmp_path, "EDGEC_SSH_CONFIG": tmp_path / "config", "OMP_NUM_THREADS": 2}
    monkeypatch.setenv(variable, str(right[variable]))
    use()
    monkeypatch.delenv(variable)
    use()
