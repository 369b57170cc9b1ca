"""Reaching a device over SSH, against a real server; every way it can fail has its own error."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from targets.errors import (
    AuthenticationFailed,
    ConnectionCut,
    DeviceAddressError,
    DeviceCommandFailed,
    DeviceTimeout,
    DeviceUnreachable,
    HostKeyChanged,
    HostKeyUnknown,
)
from targets.reach.ssh import SshAddress, SshDevice
from tests.targets.reach.sshd import Sshd, make_sshd, needs_sshd


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://pi", SshAddress("pi")),
        ("ssh://Pi5/", SshAddress("Pi5")),
        ("ssh://me@pi.local:2222", SshAddress("pi.local", "me", 2222)),
        ("ssh://root@[fe80::1%eth0]:22", SshAddress("fe80::1%eth0", "root", 22)),
        ("ssh://[FE80::1%Eth0]", SshAddress("FE80::1%Eth0")),
        ("ssh://pi?python=python3.11", SshAddress("pi", python="python3.11")),
        (
            "ssh://me@pi:22?python=/opt/my-env/bin/python3",
            SshAddress("pi", "me", 22, "/opt/my-env/bin/python3"),
        ),
    ],
)
def test_addresses_are_read(text: str, address: SshAddress) -> None:
    assert SshAddress.parse(text) == address
    assert SshAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "pi",
            "me@pi",
            "http://pi",
            "ssh://",
            "ssh://me@",
            "ssh://pi:port",
            "ssh://pi:99999",
            "ssh://pi/x",
        ),
        *(
            "ssh://-oProxyCommand=x",
            "ssh://-l@pi",
            "ssh://pi;ls",
            "ssh://a b",
            "ssh://$(id)@pi",
            "ssh://p\ni",
            "ssh://\x1b[2Jpi",
            "ssh://piİ%",
            "ssh://127.0.0.1%0aProxyCommand",
            "ssh://.bÅ",
            "ssh://me:pw@pi",
        ),
    ],
)
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(DeviceAddressError):
        SshAddress.parse(text)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(DeviceAddressError, match="ssh-copy-id") as error:
        SshAddress.parse("ssh://me:hunter2@pi")
    assert "hunter2" not in str(error.value)


@needs_sshd
class TestRunning:
    def test_arguments_arrive_as_they_are(self, sshd: Sshd) -> None:
        arguments = ["two words", "it's", "$HOME", "", "a\nb", "*", "größe", "--", "; exit 3"]
        done = sshd.device.run(["printf", "%s|", *arguments])
        assert (done.returncode, done.stdout) == (0, "|".join([*arguments, ""]))

    def test_the_exit_code_and_both_streams_are_the_commands(self, sshd: Sshd) -> None:
        done = sshd.device.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
        assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")

    @pytest.mark.parametrize("code", [1, 126, 255])
    def test_no_exit_code_of_a_command_is_mistaken_for_one_of_ssh(self, sshd: Sshd, code: int) -> None:
        assert sshd.device.run(["sh", "-c", f"exit {code}"]).returncode == code

    def test_lines_come_while_the_command_runs(self, sshd: Sshd) -> None:
        lines: list[str] = []

        def hear(line: str) -> None:
            lines.append(line)
            (sshd.home / f"heard-{line}").touch()

        script = "echo one; until [ -e heard-one ]; do sleep 0.05; done; echo two"
        sshd.device.run(["sh", "-c", script], on_line=hear, timeout_s=300)
        assert lines == ["one", "two"]

    def test_a_megabyte_goes_in_and_comes_back(self, sshd: Sshd) -> None:
        data = os.urandom(1 << 19).hex().encode()
        assert sshd.device.run(["cat"], stdin=data).stdout.encode() == data

    def test_a_command_that_may_not_take_so_long_is_ended_there_too(self, sshd: Sshd) -> None:
        script = "echo $$ >pid; exec sleep 60"
        with pytest.raises(DeviceTimeout, match=r"longer than 3 s"):
            sshd.device.run(["sh", "-c", script], timeout_s=3)
        pid = sshd.home / "pid"  # missing where even the connection took longer
        assert not pid.exists() or gone(int(pid.read_text()))

    def test_a_failed_command_reports_its_output(self, sshd: Sshd) -> None:
        with pytest.raises(DeviceCommandFailed, match=r"cat /none failed with exit code 1: .*No such file"):
            sshd.device.output(["cat", "/none"])


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@needs_sshd
class TestFailing:
    def test_nothing_listens(self, sshd: Sshd) -> None:
        sshd.stop()
        with pytest.raises(DeviceUnreachable, match="Connection refused"):
            sshd.device.run(["true"])

    def test_there_is_no_such_name(self, sshd: Sshd) -> None:
        with pytest.raises(DeviceUnreachable, match="Could not resolve"):
            SshDevice(SshAddress("no-such-device.invalid")).run(["true"])

    def test_the_host_key_is_not_known(self, sshd: Sshd) -> None:
        sshd.known_hosts.write_text("")
        with pytest.raises(HostKeyUnknown, match="compare the fingerprint"):
            sshd.device.run(["true"])
        assert sshd.known_hosts.read_text() == ""

    def test_the_host_key_is_another_one(self, sshd: Sshd, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = make_sshd(tmp_path / "other")
        key = (other.folder / "host_key.pub").read_text()
        sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {key}")
        with pytest.raises(HostKeyChanged, match="another machine"):
            sshd.device.run(["true"])

    def test_no_key_is_accepted(self, sshd: Sshd) -> None:
        (sshd.folder / "authorized_keys").write_text("")
        with pytest.raises(AuthenticationFailed, match="ssh-copy-id"):
            sshd.device.run(["true"])

    def test_what_a_cut_command_had_said_stays_on_one_line(self, sshd: Sshd) -> None:
        said = ["sh", "-c", "printf 'one\\n two\\n' >&2; exit 255"]
        pipe = subprocess.PIPE
        with subprocess.Popen(said, stdin=pipe, stdout=pipe, stderr=pipe) as child:
            assert "the connection was cut: one; two. Try again" in str(sshd.device.why_ended(child))

    def test_the_connection_is_cut_in_the_middle(self, sshd: Sshd) -> None:
        def cut(_: str) -> None:
            threading.Timer(0.2, sshd.cut).start()

        with pytest.raises(ConnectionCut, match="Try again"):
            sshd.device.run(["sh", "-c", "echo running; sleep 60"], on_line=cut)
