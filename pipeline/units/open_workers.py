"""Opens the workers that `--on` names."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.extras import require
from pipeline.units.workers import Here, Workers
from pipeline.units.working_place import parse_place


@contextmanager
def open_workers(on: str | None) -> Iterator[Workers]:
    """Open the workers: `on` is the value of `--on`; None: this process.

    Raises UsageError for another form, MissingExtraError without Dask, ClusterError without a scheduler.
    """
    if on is None:
        yield Here()
        return
    place = parse_place(on)
    require("distributed", "--on distributes units to workers with it")
    from pipeline.units.cluster import dask_workers

    with dask_workers(place) as workers:
        yield workers
