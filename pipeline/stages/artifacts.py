"""The outputs of stages as types that know their file's name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.product import Product
from pipeline.stages.parity import FILE as PARITY
from pipeline.stages.parity import Parity

if TYPE_CHECKING:
    from calibration.ranges import Ranges


@dataclass(frozen=True)
class StageOutput:
    """The files that a stage wrote, by name. Types for particular files derive from it."""

    product: Product

    @property
    def names(self) -> tuple[str, ...]:
        """The files."""
        return tuple(self.product.digests)

    @property
    def only_file(self) -> Path:
        """The path of the file, where the stage writes one, of any name."""
        (name,) = self.names
        return self.file(name)

    def file(self, name: str) -> Path:
        """Return a file's path. Raises KeyError if the stage did not write it."""
        return self.product.file(name)

    @property
    def digest(self) -> str:
        """The SHA-256 over everything that the stage wrote."""
        return self.product.digest


@dataclass(frozen=True)
class Artifact(StageOutput):
    """A stage's output with one known file."""

    file_name: ClassVar[str]

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.file(self.file_name)

    @property
    def file_digest(self) -> str:
        """The SHA-256 of the file's bytes, in hex."""
        return self.product.digests[self.file_name]


@dataclass(frozen=True)
class FloatModel(Artifact):
    """A network in float32: uint8 pixels in, logits out."""

    file_name: ClassVar[str] = "model.onnx"


@dataclass(frozen=True)
class ExportedModel(FloatModel):
    """A float model that was compared with the network that it was written from."""

    @property
    def parity(self) -> Parity:
        """How closely it follows that network."""
        return Parity.load(self.file(PARITY))


@dataclass(frozen=True)
class RangesFile(Artifact):
    """The ranges that calibration found."""

    file_name: ClassVar[str] = "ranges.json"

    def load(self) -> "Ranges":
        """Read them."""
        from calibration.ranges import Ranges

        return Ranges.load(self.path)


@dataclass(frozen=True)
class QuantizedModel(Artifact):
    """A network in Q/DQ form: the last portable one."""

    file_name: ClassVar[str] = "model.int8.onnx"


@dataclass(frozen=True)
class BroughtModel(QuantizedModel):
    """A quantised model that the user brings."""

    recipe_file: ClassVar[str] = "brought.json"

    @property
    def recipe(self) -> QuantRecipe:
        """The recipe that it follows."""
        return QuantRecipe.parse(json.loads(self.file(self.recipe_file).read_text())["recipe"])
