"""Running commands and copying files on a device over SSH, with the openssh client of this machine.

The client's keys, agents, known_hosts, jump hosts and ~/.ssh/config apply as usual, and it never asks a
question. EDGEC_SSH_CONFIG names a file to use instead of ~/.ssh/config.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from targets.errors import (
    ConnectionCut,
    DeviceAddressError,
    DeviceAnswerError,
    DeviceCommandFailed,
    DeviceError,
    DeviceTimeout,
    TargetUnavailable,
)
from targets.reach import transfer
from targets.reach.answer_limits import COMMAND_SECONDS, ENDING_SECONDS, OUTPUT_BYTES
from targets.reach.finished import Finished
from targets.reach.ssh_errors import diagnose
from targets.reach.streams import OutputTooLong, Readable, follow

CONNECT_SECONDS = 10
SILENT_SECONDS, SILENT_TIMES = 10, 3
"""The interval and number of keep-alive messages without an answer after which a device counts as lost."""
SSH_FAILED = 255
"""The exit code of ssh if it failed itself; others are those of the command."""

_WATCHED = (
    'exec 3<&0; "$@" </dev/null 3<&- & command=$!; '
    "{ cat; kill $command; } <&3 >/dev/null 2>&1 & watcher=$!; "
    "wait $command; status=$?; kill $watcher 2>/dev/null; "
    "[ $status = 255 ] && echo edgec-exit-255 >&2; exit $status"
)
"""Runs a command that ends with the connection. sshd alone lets it run on if the client is killed."""
ITS_OWN = "edgec-exit-255\n"
"""Marks 255 as the command's exit code, since ssh uses it for a lost connection."""

PYTHON_NAME = re.compile(r"(/[\w.+-]+)+|[\w.+][\w.+-]*", re.ASCII)
"""A name, or an absolute path: one that begins with - would be an option."""


@dataclass(frozen=True)
class SshAddress:
    """The address of a device: host name, IP address or alias of ~/.ssh/config. None: ssh's default."""

    host: str
    user: str | None = None
    port: int | None = None
    python: str = "python3"
    """The device's Python that runs what is sent: a name in its PATH, or a path."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ssh://user@host:port?python=PATH, where all but the host may be missing.

        Raises DeviceAddressError.
        """
        wrong = DeviceAddressError(
            f"{text!r} is not the address of a device. Expected: ssh://user@host or ssh://user@host:port, and"
            " optionally ?python=/path/to/python3 after it"
        )
        if not text.isprintable():
            raise wrong  # urlsplit would leave some of it out
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise wrong from None
        if parts.password is not None:
            there = f"{parts.username}@{host}" if parts.username else host
            way = f"-p {port} {there}" if port else there
            raise DeviceAddressError(
                f"ssh://{parts.username}:...@{host} holds a password. Leave it out, and set up a key:"
                f" ssh-copy-id {way}"
            )
        rest = parts.path.strip("/") or parts.fragment
        python = parts.query.removeprefix("python=") if parts.query else "python3"
        if parts.query and not (parts.query.startswith("python=") and PYTHON_NAME.fullmatch(python)):
            raise wrong
        if parts.scheme != "ssh" or host is None or rest or ("%" in host and ":" not in host):
            raise wrong  # only an IPv6 address has a zone
        if not re.fullmatch(r"[\w.][\w.:%-]*", host, re.ASCII) or not re.fullmatch(
            r"[\w.][\w.-]*|", parts.username or ""
        ):
            raise wrong  # one that begins with - would be an option
        # urlsplit lowers the host, but an alias in ~/.ssh/config has its case
        start = parts.netloc.lower().rindex(host.lower())  # it keeps the case of a zone
        return cls(parts.netloc[start : start + len(host)], parts.username or None, port, python)

    def with_python(self, python: str | None) -> "SshAddress":
        """Return the address with another Python, if one is given. Raises DeviceAddressError."""
        if python is None:
            return self
        if not PYTHON_NAME.fullmatch(python):
            raise DeviceAddressError(
                f"{python!r} is not a Python on the device. Give a name or an absolute path, such as"
                " /opt/venv/bin/python3"
            )
        return replace(self, python=python)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        python = "" if self.python == "python3" else f"?python={self.python}"
        port = f":{self.port}" if self.port else ""
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{port}{python}"

    @property
    def destination(self) -> str:
        """The destination as ssh takes it: user@host."""
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True)
class SshDevice:
    """A device with an SSH server. Each call is a connection, unless ~/.ssh/config shares them."""

    address: SshAddress

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | Readable | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout_s: float = COMMAND_SECONDS,
    ) -> Finished:
        """Run a command without a shell interpreting its arguments, and return the result.

        stdin is the command's input: bytes, or a file from its position on. Without it the command has no
        input, and ends with the connection or when this process is interrupted. on_line is called with each
        line of stdout as it arrives. Raises a DeviceError if the command could not be run to its end: it took
        longer than timeout_s, or printed more than OUTPUT_BYTES.
        """
        command = list(argv) if stdin is not None else ["sh", "-c", _WATCHED, "edgec", *argv]
        returncode, stdout, stderr = self._ssh(command, stdin, on_line, timeout_s)
        return Finished(returncode, stdout.decode(errors="replace"), stderr)

    def output(
        self, argv: Sequence[str], *, stdin: bytes | None = None, timeout_s: float = COMMAND_SECONDS
    ) -> str:
        """Run a command that must succeed and return its stdout. Raises DeviceCommandFailed, or as `run`."""
        done = self.run(argv, stdin=stdin, timeout_s=timeout_s)
        if done.returncode:
            raise self.failure(argv, done)
        return done.stdout

    def failure(self, argv: Sequence[str], done: Finished) -> DeviceCommandFailed:
        """Return the error that says how a command failed."""
        message = (done.stderr.strip() or done.stdout.strip())[-1000:] or "no output"
        return DeviceCommandFailed(
            f"{self.address}: {_shown(argv)} failed with exit code {done.returncode}: {message}"
        )

    def send(self, local: Path, remote: str, on_bytes: Callable[[int], None] | None = None) -> None:
        """Copy a file to the device: `remote` is absolute or relative to the home folder there.

        The file appears only when it is complete and its digest was checked on the device. Parts that an
        interrupted call has sent are not sent again, nor a file that already exists. on_bytes is called with
        the number of bytes that are done. Raises a DeviceError.
        """
        transfer.send(self, local, remote, on_bytes)

    def fetch(self, remote: str, local: Path) -> None:
        """Copy a file from the device; it appears only when it is complete and its digest was checked."""
        transfer.fetch(self, remote, local)

    def read(self, argv: Sequence[str]) -> bytes:
        """Run a command that must succeed and return its stdout, byte for byte. Raises as `output`."""
        command = ["sh", "-c", _WATCHED, "edgec", *argv]
        returncode, stdout, stderr = self._ssh(command, None, None, COMMAND_SECONDS)
        if returncode:
            raise self.failure(argv, Finished(returncode, "", stderr))
        return stdout

    def start(self, argv: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start a command with open stdin and stdout. `why_ended` returns the error if it ends."""
        return subprocess.Popen(
            [*self._client(), shlex.join(argv)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},  # its messages are parsed
            start_new_session=True,  # so that Ctrl-C does not reach it directly
        )

    def why_ended(self, child: "subprocess.Popen[bytes]") -> DeviceError:
        """Return the error with the reason why a started command has ended."""
        stderr = b""
        with contextlib.suppress(OutputTooLong):
            _, stderr = follow(child, b"", None, ENDING_SECONDS) or (b"", b"")
        message = stderr.decode(errors="replace")
        if child.returncode == SSH_FAILED:
            return self._failed(message)
        return DeviceCommandFailed(
            f"{self.address}: the command ended with code {child.returncode}: {message.strip()[-500:]}"
        )

    def _ssh(
        self,
        command: Sequence[str],
        stdin: bytes | Readable | None,
        on_line: Callable[[str], None] | None,
        timeout_s: float,
    ) -> tuple[int, bytes, str]:
        child = self.start(command)
        try:
            done = follow(child, stdin, on_line, timeout_s)
        except OutputTooLong:
            raise DeviceAnswerError(
                f"{self.address}: {_shown(command)} printed more than {OUTPUT_BYTES:,} bytes and was ended"
            ) from None
        if done is None:
            raise DeviceTimeout(f"{self.address}: {_shown(command)} took longer than {timeout_s:g} s.")
        stdout, stderr = done
        message = stderr.decode(errors="replace")
        if child.returncode == SSH_FAILED and not message.endswith(ITS_OWN):
            raise self._failed(message)
        return child.returncode, stdout, message.removesuffix(ITS_OWN)

    def _failed(self, message: str) -> DeviceError:
        """Return the error for ssh's last output, which is empty if the server's process was killed."""
        found = diagnose(message, self.address.destination, str(self.address))
        lines = "; ".join(line.strip() for line in message.splitlines() if line.strip())
        said = f": {lines[-500:]}" if lines else ""
        return found or ConnectionCut(
            f"{self.address}: the connection was cut{said}. Try again; files continue where they stopped."
        )

    def _client(self) -> list[str]:
        program = shutil.which("ssh")
        if program is None:
            raise TargetUnavailable("ssh is not installed. On Debian and Ubuntu: apt install openssh-client")
        config = os.environ.get("EDGEC_SSH_CONFIG")
        if config and not Path(config).is_file() and config != os.devnull:
            raise TargetUnavailable(
                f"EDGEC_SSH_CONFIG is {config[:200]!r}, which is not a file. Give a file like"
                " ~/.ssh/config, or unset it."
            )
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_SECONDS,
            "ServerAliveInterval": SILENT_SECONDS,
            "ServerAliveCountMax": SILENT_TIMES,
            "LogLevel": "ERROR",
        }
        return [
            *(program, "-T"),
            *(["-F", config] if config else []),
            *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
            *(["-p", str(self.address.port)] if self.address.port else []),
            *("--", self.address.destination),
        ]


def _shown(command: Sequence[str]) -> str:
    """Return a command for messages: without the wrapper, and shortened to one line."""
    own = command[4:] if command[2:3] == [_WATCHED] else command
    return shlex.join(own).partition("\n")[0][:200]
