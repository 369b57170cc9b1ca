"""A Dask cluster and its command in forked processes, which start in a fraction of a second."""

import asyncio
import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

FORK = multiprocessing.get_context("fork")
WORKERS = ("worker1", "worker2")


def fork(work: Callable[[], None], said: Path) -> ForkProcess:
    """Start a process that does this, in a session of its own; all that it says is added to `said`."""

    def apart() -> None:
        os.setsid()
        with said.open("ab") as lines:
            os.dup2(lines.fileno(), 1)
            os.dup2(lines.fileno(), 2)
        work()

    process = FORK.Process(target=apart)
    process.start()
    return process


def end(process: ForkProcess) -> None:
    """Kill a process."""
    process.kill()
    process.join()


class ForkedCluster:
    """A scheduler, two workers and a command. This process must have no threads when it forks them.

    What they say is in `said` of the folder.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self._folder = folder
        self.said = folder / "said"
        self._running: dict[str, ForkProcess] = {}

    def restore(self) -> None:
        """Start what does not run of the scheduler and the workers."""
        for name in ("scheduler", *WORKERS):
            if name not in self._running or not self._running[name].is_alive():
                work = self._schedule if name == "scheduler" else self._work
                self._running[name] = fork(work, self.said)

    def kill(self, name: str) -> None:
        """Kill the scheduler or a worker."""
        end(self._running[name])

    def command(self, work: Callable[[str], None]) -> ForkProcess:
        """Start a command, which gets the scheduler's address."""
        self._running["command"] = fork(lambda: work(self.address), self.said)
        return self._running["command"]

    def _schedule(self) -> None:
        from distributed import Scheduler

        async def run() -> None:
            async with Scheduler(host="127.0.0.1", port=self._port, dashboard=False) as scheduler:
                await scheduler.finished()

        asyncio.run(run())

    def _work(self) -> None:
        from distributed import Worker

        async def run() -> None:
            place = str(self._folder / "workers")
            async with Worker(self.address, nthreads=1, local_directory=place, dashboard=False) as worker:
                await worker.finished()

        asyncio.run(run())

    def __enter__(self) -> "ForkedCluster":
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            end(process)
