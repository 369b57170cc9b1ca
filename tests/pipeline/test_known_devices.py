"""Names of devices: where they are kept, how they are found, and what is refused."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.known_devices import add_device, find_device, known_devices
from targets.reach.ssh import SshAddress
from tests.conftest import Edgec


def test_names_are_kept_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert known_devices() == {}
    add_device("pi5", SshAddress.parse("ssh://pi@raspberrypi.local"))
    add_device("nano", SshAddress.parse("ssh://nano:2222"))
    assert find_device("pi5") == SshAddress("raspberrypi.local", "pi")
    assert find_device("ssh://other") == SshAddress("other")
    with pytest.raises(UsageError, match="Did you mean 'nano'"):
        find_device("nanno")
    with pytest.raises(UsageError, match="lower-case letters"):
        add_device("My Pi", SshAddress("x"))
    (tmp_path / "edgec" / "devices.toml").write_text("nano = 3")
    with pytest.raises(UsageError, match=r"devices\.toml cannot be used"):
        known_devices()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('address = ["ssh://pi"]', "address and python of pi are not texts"),
        ('address = "ssh://pi"\npython = 3', "address and python of pi are not texts"),
        ('address = "ssh://pi"\nlabels = "pi5"', "labels of pi are not a list of names"),
    ],
    ids=["address", "python", "labels"],
)
def test_values_of_another_type_are_named(tmp_path: Path, table: str, said: str) -> None:
    file = tmp_path / "devices.toml"
    file.write_text(f"[pi]\n{table}\n")
    with pytest.raises(UsageError, match=said):
        known_devices(file)


def test_no_device_is_named_at_first(edgec: Edgec) -> None:
    done = edgec("devices", "check", "nowhere")
    assert done.returncode == 2
    assert "Unknown device" in done.stderr


def test_a_named_device_may_have_a_python_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "edgec").mkdir()
    file = tmp_path / "edgec" / "devices.toml"
    file.write_text('[pi5]\naddress = "ssh://pi@pi5"\npython = "/opt/env/bin/python3"\n')
    assert find_device("pi5") == SshAddress("pi5", "pi", python="/opt/env/bin/python3")
    add_device("other", SshAddress("other"))
    assert find_device("pi5") == SshAddress("pi5", "pi", python="/opt/env/bin/python3")
    file.write_text('[pi5]\naddress = "ssh://pi@pi5"\npython = "-c evil"\n')
    with pytest.raises(UsageError, match="is not a Python on the device"):
        find_device("pi5")
