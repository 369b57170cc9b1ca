"""Leases of boards, for one client at a time: a lease is kept on the board itself, and renewed while in use.

What the board does is in targets/runtime/board_lease.py. A client that dies loses the board when its lease
runs out; one that was stopped meanwhile learns that it lost it, and its results are refused.
"""

import getpass
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from targets.errors import (
    DeviceCommandFailed,
    DeviceDiskFull,
    DeviceError,
    DeviceTimeout,
    DeviceUnfit,
    LeaseLost,
)
from targets.reach.answer_limits import COMMAND_SECONDS
from targets.reach.answers import checked, json_answer, sensible
from targets.reach.finished import Finished
from targets.reach.kept_open import in_session
from targets.reach.sent_files import sent
from targets.reach.ssh import SshAddress, SshDevice
from targets.reach.zip_program import program
from targets.runtime.board_lease import BUSY, LOST

LEASE_SECONDS = 120.0
"""How long a board stays with a client that no longer renews its lease."""
ASKED_EVERY = 5.0
"""Seconds between two questions of one who waits."""
BUSY_SECONDS = 900.0
"""How long to wait for a measurement that one whose lease ran out has left behind."""
HOTTEST_C = 95.0
LEAST_FREE_BYTES = 16 << 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Waiter:
    """A client that has a board or waits for it, and for how many seconds so far."""

    owner: str
    seconds: float


@dataclass(frozen=True)
class BoardState:
    """Who has a board, who waits for it, and its health. None: not known there."""

    holder: Waiter | None
    waiting: tuple[Waiter, ...]
    temperature_c: float | None
    governors: tuple[str, ...]
    frequencies_mhz: tuple[float, ...]
    limits: tuple[str, ...]
    free_bytes: int
    load_average: float | None
    selftest: str
    """How the last self-test of an engine went, in words; empty: none was run."""
    selftest_failed: bool

    @property
    def unfit(self) -> str:
        """Why nothing should be measured there now; empty if all is well."""
        if self.free_bytes < LEAST_FREE_BYTES:
            return f"its disk has {self.free_bytes / 2**20:.0f} MiB left"
        if self.temperature_c is not None and self.temperature_c >= HOTTEST_C:
            return f"it is at {self.temperature_c:.0f} °C"
        return f"its last self-test failed: {self.selftest}" if self.selftest_failed else ""


def look(device: SshDevice) -> BoardState:
    """Return the state of a board. Raises a DeviceError."""
    with sensible(device.address, "leases"):
        return _board_state(json_answer(_ask(device, "look")))


def _board_state(found: dict[str, Any]) -> BoardState:
    tested = found["selftest"] if isinstance(found["selftest"], dict) else {}
    word = "passed" if tested.get("passed") else "failed"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(tested.get("at", 0))))
    fields = {
        "holder": None if found["holder"] is None else _waiter(found["holder"], found["now"]),
        "waiting": [_waiter(one, found["now"]) for one in found["waiting"]],
        "temperature_c": found["temperature_c"],
        "governors": found["governors"],
        "frequencies_mhz": found["frequencies_mhz"],
        "limits": found["limits"],
        "free_bytes": found["free_bytes"],
        "load_average": found["load_average"],
        "selftest": f"{word} on {when} ({tested.get('engine')})" if tested else "",
        "selftest_failed": bool(tested) and not tested.get("passed"),
    }
    return checked(BoardState, fields)


def note_selftest(device: SshDevice, engine: str, *, passed: bool) -> None:
    """Let the board remember how the self-test of an engine went. Raises a DeviceError."""
    _ask(device, "tested", engine, "passed" if passed else "failed", "0")


@dataclass
class HeldBoard:
    """A lease that this process has; a thread renews it."""

    device: SshDevice
    owner: str
    token: str
    seconds: float
    lost: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)
    _deadline: float = 0.0

    def renew_until_released(self) -> None:
        """Renew the lease three times in its length, until it is released or lost."""
        while not self._ended.wait(self.seconds / 3):
            asked = time.monotonic()
            try:
                _ask(self.device, "renew", self.owner, self.token, str(self.seconds))
                self._deadline = asked + self.seconds
            except LeaseLost as error:
                self.lost = str(error)
                return
            except DeviceError as error:
                if time.monotonic() > self._deadline:
                    self.lost = f"the lease could not be renewed in time: {error}"
                    return

    def begin(self) -> None:
        """Count the lease from now on, and renew it."""
        self._deadline = time.monotonic() + self.seconds
        threading.Thread(target=self.renew_until_released, daemon=True).start()

    def release(self) -> None:
        """Give the board back. One that cannot be reached gets it back when the lease runs out."""
        self._ended.set()
        with suppress(DeviceError):
            _ask(self.device, "release", self.owner, self.token, "0")

    def refuse_if_lost(self) -> None:
        """Raise LeaseLost if another may have used the board meanwhile."""
        if self.lost:
            raise LeaseLost(f"{self.device.address}: {self.lost}")


_using: ContextVar[Mapping[SshAddress, HeldBoard]] = ContextVar("using", default=MappingProxyType({}))
"""The leases of the blocks that this code is in."""


@contextmanager
def leased(device: SshDevice, say: Say = lambda _: None) -> Iterator[HeldBoard]:
    """Lease a board for this process, waiting in turn for it; in a session, until the session ends.

    A nested call uses the same lease.

    Raises LeaseLost at the end if another may have used it meanwhile: the results are not valid. Raises
    DeviceDiskFull or DeviceUnfit for a board that is not fit, and a DeviceError if it cannot be reached.
    """
    using = _using.get()
    if (held := using.get(device.address)) is not None:
        yield held
        held.refuse_if_lost()
        return
    with in_session(("lease", device.address), lambda: taken(device, say)) as held:
        token = _using.set({**using, device.address: held})
        try:
            yield held
        finally:
            _using.reset(token)
        held.refuse_if_lost()


@contextmanager
def taken(
    device: SshDevice, say: Say = lambda _: None, owner: str = "", seconds: float = LEASE_SECONDS
) -> Iterator[HeldBoard]:
    """Take a lease of `seconds`, and renew it. Raises as `leased`."""
    _refuse_unfit(device)
    held = HeldBoard(device, owner or this_process(), uuid4().hex, seconds)
    said = ""
    try:
        while True:
            answer = _ask(device, "take", held.owner, held.token, str(seconds))
            with sensible(device.address, "leases"):
                found = json_answer(answer)
                if found["held"]:
                    break
                said = _told(device.address, found, held.token, said, say)
            time.sleep(min(ASKED_EVERY, seconds / 4))
        held.begin()
        yield held
    finally:
        held.release()


def run_alone(
    device: SshDevice, command: Sequence[str], on_line: Callable[[str], None] | None = None
) -> Finished:
    """Run a command that measures: under a lease, and while no other such command runs on the board.

    Waits for one that a dead client has left behind. Raises LeaseLost, DeviceTimeout or another DeviceError.
    """
    with leased(device) as held:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            done = _run(device, ["alone", held.token, *command], on_line=on_line)
            if done.returncode == LOST:
                raise LeaseLost(f"{device.address}: another client has taken the board.")
            if done.returncode != BUSY:
                return done
            if time.monotonic() > deadline:
                raise DeviceTimeout(
                    f"{device.address}: an abandoned measurement has been running for {BUSY_SECONDS:g} s."
                    " Restart the board, or end it there."
                )
            time.sleep(ASKED_EVERY)


def this_process() -> str:
    """Name this process to others who wait for a board."""
    return f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"


def _refuse_unfit(device: SshDevice) -> None:
    state = look(device)
    if state.free_bytes < LEAST_FREE_BYTES:
        raise DeviceDiskFull(f"{device.address}: {state.unfit}. Free some, and try again.")
    if state.unfit and not state.selftest_failed:  # the next self-test may pass, of another engine
        raise DeviceUnfit(f"{device.address}: {state.unfit}. Let it cool, and try again.")


def _told(address: SshAddress, answer: dict[str, Any], token: str, said: str, say: Say) -> str:
    """Say who has the board and how many wait before this one, unless that was the last thing said."""
    place = next((n for n, one in enumerate(answer["waiting"]) if one["token"] == token), 0)
    before = f", and {place} wait before this" if place else ""
    holder = answer["holder"]
    line = f"{address}: waiting for {holder['owner'] if holder else 'those before this'}{before}"
    if line != said:
        say(line)
    return line


def _waiter(entry: dict[str, Any], now: float) -> Waiter:
    return Waiter(str(entry["owner"]), max(0.0, now - float(entry["since"])))


def _ask(device: SshDevice, *words: str) -> str:
    """Run the board's program; return what it printed. Raises LeaseLost, DeviceDiskFull or a DeviceError."""
    done = _run(device, words, timeout_s=60)
    if done.returncode == LOST:
        raise LeaseLost(f"{device.address}: the lease expired, and another client may have used the board.")
    if "No space left" in done.stderr or "Disk quota exceeded" in done.stderr:
        raise DeviceDiskFull(f"{device.address}: its disk is full. Free some, and try again.")
    if done.returncode:
        reason = done.stderr.strip()[-500:] or done.returncode
        raise DeviceCommandFailed(f"{device.address}: the lease cannot be requested: {reason}")
    return done.stdout


def _run(
    device: SshDevice,
    words: Sequence[str],
    on_line: Callable[[str], None] | None = None,
    timeout_s: float = COMMAND_SECONDS,
) -> Finished:
    done = device.run([device.address.python, _tool(device), *words], on_line=on_line, timeout_s=timeout_s)
    if done.returncode == 2 and "can't open file" in done.stderr:  # the board was set up anew meanwhile
        _tool.cache_clear()
        words = [device.address.python, _tool(device), *words]
        return device.run(words, on_line=on_line, timeout_s=timeout_s)
    return done


@cache
def _tool(device: SshDevice) -> str:
    """Send the program; return where it is."""
    with tempfile.TemporaryDirectory(prefix="edgec-lease-") as scratch:
        file = Path(scratch) / "lease.pyz"
        file.write_bytes(program("board_lease"))
        return sent(device, file)
