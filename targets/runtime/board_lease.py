"""Keeps a board for one user at a time: who has it, who waits for it, and that nothing else is measured.

    python3 lease.pyz take OWNER TOKEN SECONDS      have the board, or wait for it: JSON says which
    python3 lease.pyz renew OWNER TOKEN SECONDS     still in use; fails if another has the board by now
    python3 lease.pyz release OWNER TOKEN 0         no longer in use, or no longer waiting
    python3 lease.pyz tested ENGINE passed|failed 0 how the self-test of an engine went
    python3 lease.pyz look                          who has it and who waits, and the board's health
    python3 lease.pyz alone TOKEN COMMAND...        run a command that nothing else may disturb

A lease ends by itself after its seconds unless it is renewed: a user whose machine died does not block
others. Time is that of the board, since its start: a clock that is set changes nothing, and a restart ends
all leases. Changes are made under a lock of the kernel, which ends with the process that has it. Needs Python
alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from .machine import read_state
from .system_files import text_of

FOLDER = Path("edgec") / "lease"
"""Relative to the home folder."""
LOST, BUSY = 75, 76
"""Exit codes: the lease is another's; something else is being measured."""
WAITING_SECONDS = 60.0
"""Who waits and does not ask again for so long has given up."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; returns its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    folder = Path.home() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if words[0] == "alone":
        return _alone(folder, words[1], words[2:])
    if words[0] == "look":
        print(json.dumps({**_look(folder), **_health(folder)}))
        return 0
    owner, token, seconds = words[1], words[2], float(words[3])
    with _changed(folder) as state:
        if words[0] == "release":
            return _release(state, token)
        if words[0] == "tested":
            passed = {"passed": words[2] == "passed", "engine": owner, "at": time.time()}
            (folder / "selftest.json").write_text(json.dumps(passed))
            return 0
        if words[0] == "renew" and not _has(state, token):
            return LOST
        _take(state, owner, token, seconds)
        print(json.dumps({"held": _has(state, token), **state}))
    return 0


def _take(state: dict[str, Any], owner: str, token: str, seconds: float) -> None:
    """Take the lease if the board is free and no other is ahead, or renew it; else stay in the queue."""
    now = _now()
    entry = {"owner": owner, "token": token, "until": now + seconds}
    waiting = state["waiting"]
    mine = next((one for one in waiting if one["token"] == token), None)
    if _has(state, token):
        state["holder"] = {**state["holder"], **entry}
    elif state["holder"] is None and (not waiting or waiting[0] is mine):
        state["holder"] = {**entry, "since": now}
        state["waiting"] = [one for one in waiting if one is not mine]
    elif mine is None:
        waiting.append({**entry, "until": now + WAITING_SECONDS, "since": now})
    else:
        mine["until"] = now + WAITING_SECONDS


def _release(state: dict[str, Any], token: str) -> int:
    if _has(state, token):
        state["holder"] = None
    state["waiting"] = [one for one in state["waiting"] if one["token"] != token]
    return 0


def _has(state: dict[str, Any], token: str) -> bool:
    return state["holder"] is not None and state["holder"]["token"] == token


@contextmanager
def _changed(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the state without expired entries, under a lock, and save it as the caller leaves it."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = _look(folder)
        yield state
        scratch = folder / "state.json.new"
        scratch.write_text(json.dumps({**state, "boot": _boot()}))
        scratch.replace(folder / "state.json")


def _look(folder: Path) -> dict[str, Any]:
    """Return who has the board and who waits. A damaged file, or one from before a restart, names nobody."""
    nobody: dict[str, Any] = {"holder": None, "waiting": []}
    try:
        found = json.loads(text_of(folder / "state.json") or "{}")
        if found.get("boot") != _boot():
            return nobody
        now = _now()
        holder = found["holder"]
        waiting = [one for one in found["waiting"] if one["until"] > now]
        return {"holder": holder if holder and holder["until"] > now else None, "waiting": waiting}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return nobody


def _health(folder: Path) -> dict[str, Any]:
    """Return what can make a board unfit: heat, clocks, its disk, and how its last self-test went."""
    state = read_state()
    disk = os.statvfs(str(folder))
    return {
        "now": _now(),
        "temperature_c": state.temperature_c,
        "governors": list(state.governors),
        "frequencies_mhz": list(state.frequencies_mhz),
        "limits": [*state.limits, *(f"{one} since boot" for one in state.limits_since_boot)],
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "load_average": state.load_average,
        "selftest": _record(text_of(folder / "selftest.json")),
    }


def _alone(folder: Path, token: str, command: list[str]) -> int:
    """Replace this process by a command that holds the lock until it and its children have ended."""
    lock = os.open(str(folder / "measuring"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return BUSY
    if not _has(_look(folder), token):
        return LOST
    os.set_inheritable(lock, True)
    return os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own


def _record(text: str) -> Any:
    """Return a record that was kept here, if it is one."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _boot() -> str:
    return text_of(Path("/proc/sys/kernel/random/boot_id"))


if __name__ == "__main__":
    sys.exit(main())
