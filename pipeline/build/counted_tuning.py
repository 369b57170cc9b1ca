"""A tuning whose candidates are counted: a unit for each convolution, done anywhere, with the same result."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.build.requested_unit import TuningRequest, requested_units
from pipeline.cache.digest import InputFile
from pipeline.cache.store import Store
from pipeline.progress import Progress
from pipeline.stages.tune import TuneConvolution, UnitTuned
from pipeline.units.workers import Workers

if TYPE_CHECKING:
    from targets.tvm.tuning.search import Tuned


def tuning_units(request: TuningRequest) -> tuple[TuneConvolution, ...]:
    """Return a unit for each different convolution. Raises EngineError for a model that cannot be used."""
    from targets import devices
    from targets.tvm.importer import import_graph
    from targets.tvm.isa import ISAS
    from targets.tvm.tuning.assembly import mca_version
    from targets.tvm.tuning.search import convolutions

    board, model = devices.boards()[request.target], InputFile.at(Path(request.model))
    wanted = convolutions(import_graph(model.path), ISAS[board.isa])
    mca = mca_version()
    return tuple(
        TuneConvolution(model, one.shape.name, board.isa, board.emulated_cpu, request.tiles, mca)
        for one in wanted
    )


def count_tiles(
    request: TuningRequest, store: Store, workers: Workers, progress: Progress
) -> "Iterator[Tuned]":
    """Yield the best tile of each convolution, in the order in which they are found.

    What the store has is not counted again. Raises UnitError for the first unit that failed, when
    all others are done.
    """
    units = requested_units(tuning_units(request), store.root, "tune", request)
    ended = []
    for one in workers.run(units, progress):
        ended.append(one)
        if one.result is not None:
            yield UnitTuned(one.result).load().tuned()
    for one in ended:
        one.value()
