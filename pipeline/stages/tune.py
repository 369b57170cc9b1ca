"""model.int8.onnx -> tuned.json: the block sizes of one convolution that execute the fewest instructions."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.record import Record
from pipeline.stages.artifacts import Artifact

if TYPE_CHECKING:
    from targets.tvm.tuning.search import Convolution, Tuned


class TileSizes(Record):
    """The fields of `targets.tvm.tile.Tile`."""

    rows: PositiveInt
    columns: PositiveInt
    vectors: PositiveInt
    unroll: PositiveInt
    stay: Literal["weights", "pixels"]


class CountedTile(Record):
    """The best tile of a convolution, with its instructions and those of the estimate's choice."""

    shape: str
    tile: TileSizes
    cost: PositiveFloat
    estimated: PositiveFloat
    unit: str
    times: PositiveInt  # how often the network has the convolution
    tried: PositiveInt

    def tuned(self) -> "Tuned":
        """Return it as the search does."""
        from targets.tvm.tile import Tile
        from targets.tvm.tuning.database import TunedTile
        from targets.tvm.tuning.search import Tuned

        entry = TunedTile(self.shape, Tile(**dict(self.tile)), self.cost, self.estimated, self.unit)
        return Tuned(entry, self.times * np.array([[self.estimated], [self.cost]]), self.tried)


class UnitTuned(Artifact):
    """What `TuneConvolution` wrote."""

    file_name: ClassVar[str] = "tuned.json"

    def load(self) -> CountedTile:
        """Read it."""
        return CountedTile.model_validate_json(self.path.read_bytes())


@dataclass(frozen=True)
class TuneConvolution(Stage):
    """Count the instructions of several tiles of one convolution in the emulator.

    shape: the convolution's name among those of the model; isa: of the engine; cpu: the emulated one;
    mca: the version of llvm-mca, which leaves tiles out where it is installed.
    """

    name: ClassVar[str] = "tune"
    tools: ClassVar[tuple[str, ...]] = ("apache-tvm", "apache-tvm-ffi", "ziglang", "numpy", "onnx")
    has_float_bits: ClassVar[bool] = False

    model: InputFile
    shape: str
    isa: str
    cpu: str
    tiles: int
    mca: str | None

    def run(self, output: Path, progress: Progress) -> None:
        """Write tuned.json. Raises EngineError."""
        from targets.tvm.tuning.cost import Counted
        from targets.tvm.tuning.search import tune

        one = _convolutions(self.model, self.isa)[self.shape]
        with progress.task(f"tune {self.shape}", None):
            found = tune(one, Counted(self.cpu), self.tiles)
        fields = asdict(found.entry) | {"times": one.times, "tried": found.tried}
        CountedTile.model_validate(fields).save(output / UnitTuned.file_name)


@lru_cache(maxsize=1)
def _convolutions(model: InputFile, isa: str) -> "dict[str, Convolution]":
    """Return the convolutions by name. The last model's are kept: the next unit is likely to need them."""
    from targets.tvm.importer import import_graph
    from targets.tvm.isa import ISAS
    from targets.tvm.tuning.search import convolutions

    return {one.shape.name: one for one in convolutions(import_graph(model.path), ISAS[isa])}
