"""A real SSH server on this machine, with keys of its own: what tests of devices talk to."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from targets.reach.ssh import SshAddress, SshDevice

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
needs_sshd = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None,
    reason="no SSH server and client on this machine: apt install openssh-server openssh-client",
)

KEY_EXCHANGE = "KexAlgorithms curve25519-sha256\n"
"""Of server and client. The default withstands quantum computers and takes ten times as long; a test of a
device makes dozens of connections."""
NO_BASHRC = "SetEnv SHLVL=1\n"
"""For bash it is then not the first shell, and it reads no .bashrc: that of whoever runs the tests."""


@dataclass
class Sshd:
    """The server; `home` is the home folder of whoever logs in, `config` the client's configuration."""

    folder: Path
    home: Path
    port: int
    server: "subprocess.Popen[bytes] | None" = None

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def address(self) -> SshAddress:
        return SshAddress("127.0.0.1", getpass.getuser(), self.port)

    @property
    def device(self) -> SshDevice:
        return SshDevice(self.address)

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where it separates its privileges
        log = self.folder / "log"
        assert SSHD
        self.server = subprocess.Popen([SSHD, "-D", "-f", self.folder / "sshd_config", "-E", log])
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.server.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"sshd does not answer:\n{log.read_text()}")

    def stop(self) -> None:
        """End the server; open connections stay."""
        if self.server:
            self.server.terminate()
            self.server.wait()

    def cut(self) -> None:
        """End all connections that are open now, as a reset of the network would."""
        assert self.server
        for process in _children(self.server.pid):
            for session in [*_children(process), process]:
                with contextlib.suppress(ProcessLookupError):  # one that ended meanwhile
                    os.kill(session, signal.SIGKILL)

    def use_path(self, folder: Path) -> None:
        """Let commands be looked for in `folder` first."""
        (self.folder / "path").write_text(f"{folder}:")

    def give_this_python(self, folder: Path) -> None:
        """Let this Python, which has what a device needs, be the device's, by a script in a new folder."""
        folder.mkdir()
        python = folder / "python3"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        self.use_path(folder)


@contextlib.contextmanager
def running_sshd(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A running server with its files in the new `folder`, that this process's ssh knows."""
    folder.mkdir()
    server = make_sshd(folder)
    monkeypatch.setenv("EDGEC_SSH_CONFIG", str(server.config))
    server.start()
    try:
        yield server
    finally:
        server.cut()
        server.stop()


@contextlib.contextmanager
def running_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sshd, Sshd]]:
    """Two running servers with this Python, called ssh://one and ssh://two in the client's configuration."""
    servers, entries = [], []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        server = make_sshd(tmp_path / name)
        server.give_this_python(tmp_path / name / "bin")
        options = server.config.read_text()
        entries.append(f"Host {name}\nHostName 127.0.0.1\nPort {server.port}\n{options}")
        servers.append(server)
    config = tmp_path / "ssh_config"
    config.write_text("".join(entries))
    monkeypatch.setenv("EDGEC_SSH_CONFIG", str(config))
    for server in servers:
        server.start()
    try:
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.cut()
            server.stop()


def make_sshd(folder: Path) -> Sshd:
    """Make keys and configurations in an empty folder; the server does not run yet."""
    home = folder / "home"
    home.mkdir()
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sshd = Sshd(folder, home, port)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    host_key = (folder / "host_key.pub").read_text()
    sshd.known_hosts.write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "path").write_text("")
    login = folder / "login"
    login.write_text(
        f'#!/bin/sh\ncd {home} || exit 1\nexport HOME={home} PATH="$(cat {folder}/path)$PATH"\n'
        'exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    login.chmod(0o755)
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nForceCommand {login}\n"
        f"PermitRootLogin yes\nMaxStartups 100\n{NO_BASHRC}{KEY_EXCHANGE}"
    )
    sshd.config.write_text(
        f"IdentityFile {folder}/user_key\nIdentitiesOnly yes\nUserKnownHostsFile {sshd.known_hosts}\n"
        f"GlobalKnownHostsFile none\n{KEY_EXCHANGE}"
    )
    return sshd


def _children(pid: int) -> list[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return []
    return [int(text) for text in found.split()]
