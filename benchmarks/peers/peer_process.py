"""An engine's process, which does one inference after another when it is its turn."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.peers.peer_engine import PeerEngine, held


class Process:
    """A peer's process, waiting for its turn."""

    def __init__(
        self, peer: PeerEngine, folder: Path, case: Path, threads: int, isa: str | None = None
    ) -> None:
        command = [
            str(part) for part in (peer.python(folder), peer.script, "serve", case, peer.threads or threads)
        ]
        self._name, self._said = peer.name, tempfile.TemporaryFile()  # noqa: SIM115 -- closed below
        # Else a thread of NumPy's OpenBLAS spins for 20 ms after the import, also during the first inference.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **held(peer, isa)}
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
        )
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeError("no pipes")
        self._tasks, self._answers = self._child.stdin, self._child.stdout
        self.started = self._answer()

    def ask(self, **task: object) -> dict[str, Any]:
        """Have the process do something."""
        self._tasks.write(json.dumps(task) + "\n")
        self._tasks.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._child.communicate()
        self._said.close()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            self._said.seek(0)
            raise RuntimeError(f"{self._name} ended early: {self._said.read()[-1000:].decode()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def opened(
    peers: Sequence[PeerEngine], folder: Path, case: Path, threads: int, isa: str | None
) -> Iterator[dict[str, Process]]:
    """Processes of all peers."""
    with ExitStack() as stack:
        processes = {}
        for peer in peers:
            processes[peer.name] = Process(peer, folder, case, threads, isa)
            stack.callback(processes[peer.name].close)
        yield processes
