"""What `--on` names: worker processes of this machine, a Dask scheduler, or jobs of Slurm."""

import re
from dataclasses import dataclass

from pipeline.errors import UsageError

FORMS = "local:2, tcp://host:8786 or slurm:jobs=32"


@dataclass(frozen=True)
class LocalProcesses:
    """A number of worker processes on this machine."""

    count: int


@dataclass(frozen=True)
class RunningScheduler:
    """A Dask scheduler that runs already, at tcp://host:port or tls://host:port."""

    address: str


@dataclass(frozen=True)
class SlurmJobs:
    """A number of Slurm jobs, each a worker; dask-jobqueue's own configuration has the rest."""

    count: int


Place = LocalProcesses | RunningScheduler | SlurmJobs


def parse_place(text: str) -> Place:
    """Read the value of `--on`. Raises UsageError."""
    if found := re.fullmatch(r"local:([1-9][0-9]{0,3})", text):
        return LocalProcesses(int(found[1]))
    if re.fullmatch(r"(tcp|tls)://[^\s:/]+:[0-9]{1,5}", text):
        return RunningScheduler(text)
    if found := re.fullmatch(r"slurm:jobs=([1-9][0-9]{0,4})", text):
        return SlurmJobs(int(found[1]))
    raise UsageError(f"--on is {text!r}; it takes {FORMS}.")
