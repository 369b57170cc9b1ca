"""Writes to and reads from a child process at the same time, line by line if wanted."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from targets.reach.answer_limits import OUTPUT_BYTES

CHUNK = 1 << 16


class OutputTooLong(Exception):
    """A child has printed more than is read."""


class Readable(Protocol):
    """A readable file."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


def follow(
    child: "subprocess.Popen[bytes]",
    stdin: bytes | Readable | None,
    on_line: Callable[[str], None] | None,
    timeout_s: float | None,
) -> tuple[bytes, bytes] | None:
    """Wait for a child with three pipes; return its stdout and stderr, or None if it took too long.

    Without stdin the pipe stays open until the child ends, which shows the other side that this process is
    alive. The child is always ended. Raises OutputTooLong for more than OUTPUT_BYTES of stdout or of stderr.
    """
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # noqa: S101, PT018
    stderr: list[bytes] = []
    flooded = threading.Event()
    error = threading.Thread(target=_drain, args=(child, child.stderr, stderr, flooded))
    error.start()
    if stdin is not None:
        threading.Thread(target=_feed, args=(child.stdin, stdin), daemon=True).start()
    with _ended(child), limited(child, timeout_s) as expired:
        output = b"".join(_read(child.stdout, on_line))
        child.wait()
        error.join()
    if flooded.is_set():
        raise OutputTooLong
    return None if expired.is_set() else (output, b"".join(stderr))


def _feed(pipe: IO[bytes], data: bytes | Readable) -> None:
    """Write everything; if the child ends before it has read all, its exit code and messages say why."""
    try:
        with pipe:
            if isinstance(data, bytes):
                pipe.write(data)
            else:
                while chunk := data.read(CHUNK):
                    pipe.write(chunk)
    except (BrokenPipeError, ValueError):
        return


def _read(pipe: IO[bytes], on_line: Callable[[str], None] | None) -> Iterator[bytes]:
    if on_line is None:
        yield from _bounded(pipe.read)
        return
    for line in _bounded(lambda _: pipe.readline(OUTPUT_BYTES + 1)):
        on_line(line.decode(errors="replace").rstrip("\r\n"))
        yield line


def _bounded(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what there is to read. Raises OutputTooLong beyond OUTPUT_BYTES."""
    total = 0
    while chunk := read(CHUNK):
        total += len(chunk)
        if total > OUTPUT_BYTES:
            raise OutputTooLong
        yield chunk


def _drain(
    child: "subprocess.Popen[bytes]", pipe: IO[bytes], into: list[bytes], flooded: threading.Event
) -> None:
    try:
        into.extend(_bounded(pipe.read))
    except OutputTooLong:
        flooded.set()
        child.kill()


@contextmanager
def _ended(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End the child with the block, also on Ctrl-C."""
    try:
        yield
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        if child.stdin:
            _close(child.stdin)


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return


@contextmanager
def limited(child: "subprocess.Popen[bytes]", timeout_s: float | None) -> Iterator[threading.Event]:
    """Kill the child after a while, if it may not take longer; the event then is set."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        child.kill()

    timer = threading.Timer(timeout_s or 0, expire)
    timer.daemon = True
    if timeout_s is not None:
        timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
