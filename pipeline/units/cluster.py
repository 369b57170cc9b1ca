"""Workers of a Dask cluster: units of float arithmetic go only to workers that round as this machine does."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any, ClassVar, TypeVar, assert_never

import dask
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, get_worker
from distributed.client import FutureCancelledError
from distributed.core import Status
from distributed.scheduler import KilledWorker

from pipeline.errors import PipelineError, UsageError
from pipeline.progress import Progress, Silent
from pipeline.units.float_canary import canary_digest
from pipeline.units.unit import Failure, FinishedUnit, Unit
from pipeline.units.workers import done_by
from pipeline.units.working_place import LocalProcesses, Place, RunningScheduler, SlurmJobs
from targets.runtime.named_folder import WrongVariable, named_folder

R = TypeVar("R")
SILENT_S = 30.0
"""After so many seconds without an answer, a worker of our own cluster is given up and its units go to
others."""
CONNECT_S = 20
LOOK_S = 1.0
"""Seconds after which we look whether more workers have joined."""
SBATCH_TEST = ("sbatch", "--test-only")
PLENTY = 1e9
"""The amount of a resource that only marks some workers, and never runs out."""


class ClusterError(PipelineError):
    """The scheduler cannot be reached, or no worker can do what is asked for."""


class FloatCanary(WorkerPlugin):
    """Computes the canary when a worker joins; the digest of its logits decides which units it gets."""

    name: ClassVar[str] = "edgec-canary"

    async def setup(self, worker: Worker) -> None:
        """Tell the scheduler how this worker computes floats, as a resource.

        The scheduler looks for units that wait for a resource only when a worker begins to run: so a running
        one pauses for an instant. Resources are set once: the scheduler then forgets which are in use.
        """
        floats = floats_like(canary_digest())
        if floats in worker.state.total_resources:
            return
        await worker.set_resources(**{**worker.state.total_resources, floats: PLENTY})
        if worker.status is Status.running:
            worker.status = Status.paused
            worker.status = Status.running


@contextmanager
def naming_a_lost_scheduler() -> Iterator[None]:
    """Raise ClusterError where the connection has ended."""
    try:
        yield
    except (FutureCancelledError, OSError) as error:
        raise ClusterError(
            "The scheduler was lost. Finished units are kept: start it again, then repeat the command."
        ) from error


def floats_like(digest: str) -> str:
    """Return the name of the resource of workers whose canary has this digest."""
    return f"floats:{digest[:16]}"


def board_named(name: str) -> str:
    """Return the name of the resource of workers that reach a board."""
    return f"board:{name}"


class DaskWorkers:
    """The workers behind a Dask client. all_boards: each of them reaches every board that this machine does.

    Two of them may then ask for a board at once; the board's own lease lets one wait.
    """

    def __init__(self, client: Client, all_boards: bool = False) -> None:
        self._client = client
        self._all_boards = all_boards
        self._own = floats_like(canary_digest())
        self._named: set[str] = set()
        client.register_plugin(FloatCanary())

    @property
    def count(self) -> int:
        """How many units can be done at once."""
        return sum(self._client.nthreads().values())

    def run(self, units: Sequence[Unit[R]], progress: Progress) -> Iterator[FinishedUnit[R]]:
        """Do all units and yield each as it ends. Raises ClusterError if the scheduler is lost."""
        with naming_a_lost_scheduler():
            self._check(units, progress)
        waiting, ended = list(units), Queue[Future[Any]]()
        at_work: dict[Future[Any], Unit[R]] = {}
        with progress.task(f"units on {self.count} workers", len(units)) as advance:
            while waiting or at_work:
                with naming_a_lost_scheduler():
                    for unit in self._startable(waiting, at_work.values()):
                        waiting.remove(unit)
                        future = self._submitted(unit)
                        at_work[future] = unit
                        future.add_done_callback(ended.put)
                with suppress(Empty):
                    future = ended.get(timeout=LOOK_S)
                    yield self._ended(future, at_work.pop(future))
                    advance(1)

    def _startable(self, waiting: Sequence[Unit[R]], at_work: Iterable[Unit[R]]) -> list[Unit[R]]:
        """Return the next units for workers that have none.

        Given all units, the scheduler would hand them out at once, and take long ones back from a worker that
        is late only after many seconds in which another has nothing to do.
        """
        if not waiting:
            return []
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        busy = Counter(frozenset(self._needed(unit)) for unit in at_work)
        able: dict[frozenset[str], int] = {}
        found = []
        for unit in waiting:
            needed = frozenset(self._needed(unit))
            if needed not in able:
                threads = (worker["nthreads"] for worker in workers if needed <= set(worker["resources"]))
                able[needed] = max(1, sum(threads))
            if busy[needed] < able[needed]:
                busy[needed] += 1
                found.append(unit)
        return found

    def _needed(self, unit: Unit[R]) -> dict[str, float]:
        """Return how much of which resources a unit takes."""
        needed: dict[str, float] = {}
        if unit.has_float_bits:
            needed[self._own] = 1
        if unit.board is not None and not self._all_boards:
            needed[board_named(unit.board)] = 1
        return needed

    def _submitted(self, unit: Unit[R]) -> Future[Any]:
        key = f"{unit.title}-{unit.digest[:16]}-{time.monotonic_ns()}"
        return self._client.submit(done_there, unit, key=key, resources=self._needed(unit), pure=False)

    def _ended(self, future: Future[Any], unit: Unit[R]) -> FinishedUnit[R]:
        try:
            with naming_a_lost_scheduler():
                found: FinishedUnit[R] = future.result()
        except KilledWorker as error:
            failure = Failure(f"its workers were killed, the last one {error.last_worker.address}")
            return FinishedUnit(unit, "several workers", None, 0.0, failure)
        return found

    def _check(self, units: Sequence[Unit[R]], progress: Progress) -> None:
        """Wait for a worker, and say which get no float units.

        Raises ClusterError if there are workers, but none for some of the units: those would wait for ever.
        """
        if not self.count:
            progress.say("no worker has joined yet; waiting for one")
            self._client.wait_for_workers(1)
        found = self._client.run(worker_resources, on_error="ignore")  # some may die meanwhile
        for address, offered in sorted(found.items()):
            if self._own not in offered and address not in self._named:
                self._named.add(address)
                progress.say(
                    f"worker {address} rounds floats differently from this machine: it gets only"
                    " integer units"
                )
        asked = {name for unit in units for name in self._needed(unit)}
        missing = asked.difference(*found.values()) if found else set()
        if self._own in missing:
            raise ClusterError(
                "No worker rounds floats as this machine does. Start the command on a machine like the"
                " workers'."
            )
        for name in sorted(missing):
            raise ClusterError(
                f"No worker reaches {name.replace(':', ' ', 1)}. Start one that does: dask worker ..."
                f' --resources "{name}=1"'
            )


def done_there(unit: Unit[R]) -> FinishedUnit[R]:
    """Do a unit on the worker that runs this."""
    return done_by(unit, get_worker().address, Silent())


def worker_resources(dask_worker: Worker) -> set[str]:
    """Return the names of the worker's resources."""
    return set(dask_worker.state.total_resources)


@contextmanager
def dask_workers(place: Place) -> Iterator[DaskWorkers]:
    """Open the workers of a place. Raises ClusterError if there is no scheduler, UsageError without Slurm."""
    settings: dict[str, Any] = {
        "distributed.scheduler.worker-ttl": f"{SILENT_S}s",
        "distributed.logging.distributed": "error",
        "distributed.worker.daemon": False,  # stages start processes of their own
        # Units take seconds. At Dask's own pace, for tasks of milliseconds, this takes 10 % of a core.
        "distributed.worker.profile.enabled": False,
        "distributed.worker.memory.monitor-interval": "1s",
        "distributed.admin.tick.interval": "1s",
        "distributed.admin.system-monitor.interval": "2s",
        "distributed.scheduler.active-memory-manager.start": False,
    }
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(settings))
        client = opened.enter_context(_client(place, opened))
        yield DaskWorkers(client, all_boards=isinstance(place, LocalProcesses))


def _refuse_what_slurm_refuses(script: str) -> None:
    """Ask Slurm whether it would take a job. Raises UsageError with what it says if not."""
    try:
        done = subprocess.run(SBATCH_TEST, input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(
            f"--on slurm: {SBATCH_TEST[0]}: {error.strerror}. Start the command where Slurm's programs are."
        ) from error
    if done.returncode:
        raise _slurm_refuses(
            " ".join(done.stderr.split()) or f"{SBATCH_TEST[0]} ended with {done.returncode}"
        )


def _slurm_refuses(reason: str) -> UsageError:
    return UsageError(f"--on slurm: {reason}; ~/.config/dask/jobqueue.yaml says what a job gets.")


def _printed_by_jobs() -> Path:
    """Return a folder of the user's for what jobs print, which Slurm otherwise leaves where the command ran.

    Raises UsageError where XDG_CACHE_HOME names none.
    """
    try:
        return named_folder("XDG_CACHE_HOME", Path.home() / ".cache") / "edgec" / "slurm"
    except WrongVariable as error:
        raise UsageError(str(error)) from error


def _client(place: Place, opened: ExitStack) -> Client:
    match place:
        case LocalProcesses(count):
            cluster = opened.enter_context(
                LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=":0", silence_logs=40)
            )
            return Client(cluster, set_as_default=False)
        case RunningScheduler(address):
            try:
                return Client(address, timeout=CONNECT_S, set_as_default=False)
            except OSError as error:
                raise ClusterError(
                    f"There is no scheduler at {address}. Start one: dask scheduler, and on each machine:"
                    f" dask worker {address} --nthreads 1"
                ) from error
        case SlurmJobs(count):
            from dask_jobqueue.slurm import SLURMCluster

            chosen = dask.config.get("jobqueue.slurm.log-directory", None)
            try:
                jobs = opened.enter_context(
                    SLURMCluster(
                        cores=1,
                        processes=1,
                        log_directory=chosen or str(_printed_by_jobs()),
                        scheduler_options={"dashboard_address": ":0"},
                    )
                )
            except ValueError as error:
                raise _slurm_refuses(str(error)) from error
            _refuse_what_slurm_refuses(jobs.job_script())  # it would be waited for, for ever
            jobs.scale(jobs=count)
            return Client(jobs, set_as_default=False)
        case unknown:
            assert_never(unknown)
