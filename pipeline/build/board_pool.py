"""Boards that are alike, by their labels: which is used, which is set aside, and who takes over.

A board that fails is set aside for a while, in a file of its own beside that of the named devices. What it
did not finish is done on one like it. Stages that were finished are in the store.
"""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.cache.atomic import replacing
from pipeline.cache.store import writing
from pipeline.config import BuildConfig
from pipeline.errors import PipelineError
from pipeline.known_devices import KnownDevice, devices_file, labelled
from pipeline.progress import Progress
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import SETTINGS_BYTES
from targets.errors import DeviceError
from targets.reach.leased_board import BoardState, look
from targets.reach.ssh import SshDevice

T = TypeVar("T")
ASIDE_SECONDS = 3600.0
"""How long a board that failed is not used, unless a check finds it well before that."""


class NoBoardLeftError(PipelineError):
    """Every board of a kind is set aside."""


@dataclass(frozen=True)
class SetAside:
    """Why a board is not used, and until when (seconds since 1970)."""

    reason: str
    until: float


@dataclass(frozen=True)
class SeenBoard:
    """A named board with its state, or why it has none."""

    device: KnownDevice
    state: BoardState | None
    problem: str
    aside: SetAside | None


def on_boards_alike(config: BuildConfig, build: Callable[[BuildConfig], T], progress: Progress) -> T:
    """Build on the board that a configuration names; with "any:LABEL" on one of those, the next if it fails.

    The one with the shortest queue is first. Raises NoBoardLeftError if all have failed, and whatever else
    `build` raises.
    """
    alike = labelled(config.device or "")
    if not alike:
        return build(config)
    failed: dict[str, str] = {name: aside.reason for name, aside in set_aside().items()}
    waiting = [one for one in sorted(seen(alike), key=_queue) if one.device.name not in failed]
    for board in waiting:
        name = board.device.name
        try:
            if board.problem:
                raise DeviceError(board.problem)
            return build(config.model_copy(update={"device": name}))
        except DeviceError as error:
            failed[name] = str(error)
            put_aside(name, str(error))
            progress.say(f"{name} is set aside: {error}")
    reasons = "; ".join(f"{one.name}: {failed[one.name]}" for one in alike if one.name in failed)
    raise NoBoardLeftError(
        f"No board is left for {config.device}. {reasons}. Repair one and put it back into use:"
        f" edgec devices check {alike[0].name}"
    )


def seen(devices: list[KnownDevice]) -> list[SeenBoard]:
    """Look at boards, all at once."""
    aside = set_aside()

    def one(device: KnownDevice) -> SeenBoard:
        try:
            state = look(SshDevice(device.address))
        except DeviceError as error:
            return SeenBoard(device, None, str(error), aside.get(device.name))
        return SeenBoard(device, state, state.unfit, aside.get(device.name))

    with ThreadPoolExecutor(max(1, min(16, len(devices)))) as pool:
        return list(pool.map(one, devices))


def set_aside() -> dict[str, SetAside]:
    """Return the boards that are not used now, by name. A damaged file sets none aside."""
    found = {file.stem: _read(file) for file in sorted(_folder().glob("*.json"))}
    now = time.time()
    return {name: one for name, one in found.items() if one is not None and one.until > now}


def put_aside(name: str, reason: str) -> None:
    """Use a board no more for a while."""
    file = _folder() / f"{name}.json"
    with writing(file.parent, "XDG_CONFIG_HOME"):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as scratch:
            scratch.write_text(json.dumps({"reason": reason, "until": time.time() + ASIDE_SECONDS}))


def take_back(name: str) -> None:
    """Use a board again."""
    file = _folder() / f"{name}.json"
    with writing(file.parent, "XDG_CONFIG_HOME"):
        file.unlink(missing_ok=True)


def _queue(board: SeenBoard) -> tuple[bool, int]:
    """Order boards: those that answer and are fit, then by how many have them or wait."""
    if board.state is None:
        return True, 0
    return bool(board.problem), len(board.state.waiting) + (board.state.holder is not None)


def _folder() -> Path:
    """Return the folder with a file for each board: clients that write at once lose no other's entry."""
    return devices_file().with_name("set_aside")


def _read(file: Path) -> SetAside | None:
    try:
        found = json.loads(read_plain(file, SETTINGS_BYTES))
        return SetAside(str(found["reason"]), float(found["until"]))
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
