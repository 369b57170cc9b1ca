"""How much the quantisation of each layer costs: sensitivity.json.

A unit is one layer on some of the images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, TypeAdapter

from pipeline.cache.digest import value_digest
from pipeline.cache.stage import Stage
from pipeline.errors import ReportError
from pipeline.progress import Progress
from pipeline.report.model.layer_noise import LayerSensitivity
from pipeline.report.record import Record
from pipeline.stages.artifacts import Artifact
from pipeline.stages.image_set import BATCH, ModelImages
from pipeline.stages.observe_part import TOOLS
from pipeline.stages.quantize import QuantizedNetwork

if TYPE_CHECKING:
    from calibration.explore.sensitivity import LayerComparison
    from calibration.metrics import ImageDistances

Sensitivities = TypeAdapter(tuple[LayerSensitivity, ...])
NO_NOISE_DB = 200.0
"""The SQNR recorded for a layer that changes no logit: that of float32 itself is about 140 dB."""
ATTRIBUTE = "attribute the error to layers"


class LogitDistances(Record):
    """How far logits are from the float model's: one entry an image, in evaluation order."""

    signal: tuple[float, ...]  # sum of the squares of the float model's logits
    noise: tuple[float, ...]  # sum of the squares of the differences
    agrees: tuple[bool, ...]  # the same top-1 class

    @classmethod
    def of(cls, found: "ImageDistances") -> "LogitDistances":
        """Return the record of what calibration found."""
        return cls(signal=found.signal, noise=found.noise, agrees=found.agrees)


NO_IMAGES = LogitDistances(signal=(), noise=(), agrees=())


class LayerAnswers(Record):
    """How a layer changes the logits of some images; empty if none of them could be read."""

    position: NonNegativeInt  # among the layers in 8 bits, in graph order
    layer: str
    alone: LogitDistances  # only this layer in INT8
    without: LogitDistances  # every layer but this one in INT8


class UnitAttributed(Artifact):
    """What `AttributeLayer` wrote."""

    file_name: ClassVar[str] = "layer.json"

    def load(self) -> LayerAnswers:
        """Read it."""
        return LayerAnswers.model_validate_json(self.path.read_bytes())


@dataclass(frozen=True)
class AttributeLayer(Stage):
    """Quantise one layer, and all but it, and compare the logits of some images with the float model's.

    position: the layer's place among those in 8 bits, in graph order; layer: its name.
    """

    name: ClassVar[str] = "attribute-layer"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    network: QuantizedNetwork
    images: ModelImages
    position: int
    layer: str

    def run(self, output: Path, progress: Progress) -> None:
        """Write layer.json. Images that cannot be read are left out, as validation has reported them.

        Raises calibration's errors for a model that cannot be used.
        """
        alone = without = NO_IMAGES
        with progress.task(ATTRIBUTE, 1) as advance:
            if next(self._batches(), None) is not None:
                found = self._comparison().distances(self.position)
                alone, without = LogitDistances.of(found.alone), LogitDistances.of(found.without)
            advance(1)
        answers = LayerAnswers(position=self.position, layer=self.layer, alone=alone, without=without)
        answers.save(output / UnitAttributed.file_name)

    def _comparison(self) -> "LayerComparison":
        """Return the comparison of these images. The last one is kept: the next unit is likely to need it."""
        from calibration.explore.sensitivity import LayerComparison

        subject = value_digest([self.network, self.images])
        if subject not in _last:
            produced = self.network.produced()
            _last.clear()
            _last[subject] = LayerComparison(produced, self.network.recipe, self._batches)
        return _last[subject]

    def _batches(self) -> Iterator[NDArray[np.uint8]]:
        return (batch.images for batch in self.images.readable(BATCH))


_last: "dict[str, LayerComparison]" = {}


@dataclass(frozen=True)
class Attribute(Stage):
    """Combine the answers of all units: for each layer those of all images, in any order."""

    name: ClassVar[str] = "attribute"
    tools: ClassVar[tuple[str, ...]] = ()

    units: tuple[UnitAttributed, ...]

    def run(self, output: Path, progress: Progress) -> None:  # noqa: ARG002 - it takes no time
        """Write sensitivity.json. Raises ReportError if not one image could be read."""
        table = sensitivities([unit.load() for unit in self.units])
        (output / "sensitivity.json").write_bytes(Sensitivities.dump_json(table, indent=1))


def sensitivities(parts: Sequence[LayerAnswers]) -> tuple[LayerSensitivity, ...]:
    """Return what each layer costs on all images, in graph order; no bit depends on the order of the parts.

    Raises ReportError for a layer without images.
    """
    layers: dict[int, list[LayerAnswers]] = {}
    for part in parts:
        layers.setdefault(part.position, []).append(part)
    return tuple(_sensitivity(layers[position]) for position in sorted(layers))


def _sensitivity(parts: Sequence[LayerAnswers]) -> LayerSensitivity:
    from calibration.metrics import ImageDistances, closeness_of

    if not any(part.alone.agrees for part in parts):
        raise ReportError(f"{parts[0].layer}: no image was counted: its sensitivity needs at least one")
    alone, without = (
        closeness_of([ImageDistances(one.signal, one.noise, one.agrees) for one in found])
        for found in ([part.alone for part in parts], [part.without for part in parts])
    )
    return LayerSensitivity(
        layer=parts[0].layer,
        sqnr_db=min(alone.sqnr_db, NO_NOISE_DB),
        agreement=alone.agreement,
        without_sqnr_db=min(without.sqnr_db, NO_NOISE_DB),
    )
