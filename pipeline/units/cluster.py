"""Workers of a Dask cluster: units with float bits go to those alone that compute as this machine does."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, TypeVar, assert_never

import dask
from distributed import Client, Future, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from pipeline.errors import PipelineError, UsageError
from pipeline.progress import Progress, Silent
from pipeline.units.float_canary import canary_digest
from pipeline.units.unit import Failure, FinishedUnit, Unit
from pipeline.units.workers import done_by
from pipeline.units.working_place import LocalProcesses, Place, RunningScheduler, SlurmJobs

R = TypeVar("R")
SILENT_S = 30.0
"""A worker of our own cluster that is not heard of for so long is given up: its units go to others."""
CONNECT_S = 20
PLENTY = 1e9
"""Of a resource that limits nothing, but that only some workers have."""


class ClusterError(PipelineError):
    """The scheduler cannot be reached, or no worker can do what is asked for."""


class FloatCanary(WorkerPlugin):
    """Computes the canary when a worker joins; what it gives decides which units the worker gets."""

    name: ClassVar[str] = "edgec-canary"

    async def setup(self, worker: Worker) -> None:
        """Tell the scheduler how this worker computes floats, as a resource."""
        digest = canary_digest()
        worker.extensions["edgec-canary"] = digest
        await worker.set_resources(**{**worker.state.total_resources, floats_like(digest): PLENTY})


def floats_like(digest: str) -> str:
    """Return the name of the resource of workers whose canary has this digest."""
    return f"floats:{digest[:16]}"


class DaskWorkers:
    """The workers behind a Dask client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._own = canary_digest()
        self._named: set[str] = set()
        client.register_plugin(FloatCanary())

    @property
    def count(self) -> int:
        """How many units can be done at once."""
        return sum(self._client.nthreads().values())

    def run(self, units: Sequence[Unit[R]], progress: Progress) -> Iterator[FinishedUnit[R]]:
        """Do all units and yield each as it ends. Raises ClusterError if the scheduler is lost."""
        waiting: dict[Future[Any], Unit[R]] = {}
        for unit in units:
            waiting[self._submitted(unit)] = unit
        with progress.task(f"units on {self.count} workers", len(units)) as advance:
            self._name_those_apart(units, progress)
            for future in as_completed(list(waiting), loop=self._client.loop):
                yield self._ended(future, waiting[future])
                advance(1)

    def _submitted(self, unit: Unit[R]) -> Future[Any]:
        needed: dict[str, float] = {}
        if unit.has_float_bits:
            needed[floats_like(self._own)] = 1
        if unit.board is not None:
            needed[f"board:{unit.board}"] = 1
        key = f"{unit.title}-{unit.digest[:16]}-{time.monotonic_ns()}"
        return self._client.submit(done_there, unit, key=key, resources=needed, pure=False)

    def _ended(self, future: Future[Any], unit: Unit[R]) -> FinishedUnit[R]:
        try:
            found: FinishedUnit[R] = future.result()
        except KilledWorker as error:
            failure = Failure(f"its workers were killed, the last one {error.last_worker.address}")
            return FinishedUnit(unit, "several workers", None, 0.0, failure)
        except (FutureCancelledError, OSError) as error:
            raise ClusterError(
                "The scheduler was lost. What is finished is kept: start it again, and then the same command."
            ) from error
        return found

    def _name_those_apart(self, units: Sequence[Unit[R]], progress: Progress) -> None:
        """Say which workers get no float units. Raises ClusterError if such units have no worker at all."""
        found = self._client.run(how_it_computes, on_error="ignore")  # some may die meanwhile
        for address, digest in sorted(found.items()):
            if digest != self._own and address not in self._named:
                self._named.add(address)
                progress.say(
                    f"worker {address} computes floats with other last bits than this machine: it gets"
                    " integer units only"
                )
        if found and self._own not in found.values() and any(unit.has_float_bits for unit in units):
            raise ClusterError(
                "No worker computes floats as this machine does. Start the command on a machine of the"
                " workers' kind."
            )


def done_there(unit: Unit[R]) -> FinishedUnit[R]:
    """Do a unit on the worker that runs this."""
    return done_by(unit, get_worker().address, Silent())


def how_it_computes(dask_worker: Worker) -> str:
    """Return the digest of the worker's canary."""
    digest: str = dask_worker.extensions["edgec-canary"]
    return digest


@contextmanager
def dask_workers(place: Place) -> Iterator[DaskWorkers]:
    """Open the workers of a place. Raises ClusterError if there is no scheduler, UsageError without Slurm."""
    settings: dict[str, Any] = {
        "distributed.scheduler.worker-ttl": f"{SILENT_S}s",
        "distributed.logging.distributed": "error",
        "distributed.worker.daemon": False,  # stages start processes of their own
    }
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(settings))
        yield DaskWorkers(opened.enter_context(_client(place, opened)))


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

            try:
                jobs = opened.enter_context(SLURMCluster(cores=1, processes=1))
            except ValueError as error:
                raise UsageError(
                    f"--on slurm: {error}; ~/.config/dask/jobqueue.yaml says what a job gets."
                ) from error
            jobs.scale(jobs=count)
            return Client(jobs, set_as_default=False)
        case unknown:
            assert_never(unknown)
