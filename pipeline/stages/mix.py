"""model.int8.onnx + labelled images -> the same, with as little more precision as keeps the drop small."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.mixed_words import conclusion, reason
from pipeline.report.model.certainty import Interval
from pipeline.report.model.float_layers import MixedPrecision, RaisedLayer
from pipeline.report.stats import difference_interval
from pipeline.stages.artifacts import QuantizedModel
from pipeline.stages.attribute import NO_NOISE_DB
from pipeline.stages.image_set import ModelImages
from pipeline.stages.observe_part import TOOLS
from pipeline.stages.quantize import QuantizedNetwork

if TYPE_CHECKING:
    from calibration.explore.mixed_precision import ChosenPrecision

MIXED = "mixed.json"
RANKING_IMAGES = 128
"""How many tuning images rank the layers; the choice is judged on all of them."""


@dataclass(frozen=True)
class Mix(Stage):
    """Give layers 16 bits or float until the paired interval of the drop on `tuning` ends within `max_drop`.

    `max_drop` is in percentage points. `tuning` are neither calibration nor evaluation images. `precision` is
    the type in which the target runs layers in float; `reads_wide` whether it takes activations of 16 bits.
    """

    name: ClassVar[str] = "mix"
    tools: ClassVar[tuple[str, ...]] = (*TOOLS, "scipy")

    network: QuantizedNetwork
    tuning: ModelImages
    max_drop: float
    precision: str
    reads_wide: bool

    def run(self, output: Path, progress: Progress) -> None:
        """Write model.int8.onnx and mixed.json. Raises calibration's errors for bad images."""
        from calibration.explore.mixed_precision import Goal, quantize_within
        from calibration.explore.sensitivity import noise_alone

        produced = self.network.produced()
        labels = self.tuning.labels()
        few = self.tuning.stratified(RANKING_IMAGES)
        with progress.task("rank the layers", None) as advance:
            noise = noise_alone(produced, self.network.recipe, few.batches, self.reads_wide, advance)
        goal = Goal(self.tuning.batches, labels, _interval, self.max_drop / 100)
        with progress.task("choose the precision of layers", None) as advance:
            found = quantize_within(
                produced, self.network.recipe, goal, noise, output / QuantizedModel.file_name, advance
            )
        mixed = MixedPrecision(
            max_drop_points=self.max_drop,
            precision=self.precision,
            images=len(labels),
            images_digest=self.tuning.split.digest,
            layers=tuple(_recorded(layer, self.reads_wide) for layer in found.layers),
            drop=_points(found.drop),
            all_int8=_points(found.all_int8),
            all_float=_points(found.all_float),
            passes=found.passes,
        )
        mixed.save(output / MIXED)
        progress.say(f"mix: {conclusion(mixed)}")
        for layer in mixed.layers:
            progress.say(f"mix: {layer.layer}: {reason(layer, mixed)}")


def _recorded(layer: "ChosenPrecision", timed: bool) -> RaisedLayer:
    """In percentage points. The estimate of the time is for targets that read 16 bits, not for TensorRT."""
    from calibration.explore.precision_steps import Precision

    wide_db = layer.noise.wide_db
    return RaisedLayer(
        layer=layer.layer,
        wide=layer.precision is Precision.WIDE,
        sqnr_db=min(layer.noise.int8_db, NO_NOISE_DB),
        wide_sqnr_db=None if wide_db is None else min(wide_db, NO_NOISE_DB),
        saved_points=100 * layer.saved_drop,
        macs_share=layer.macs_share,
        added_time=layer.added_time if timed else None,
    )


def mixed_precision(model: QuantizedModel) -> MixedPrecision | None:
    """Return which layers got more precision to keep the drop small; None if that was not asked for."""
    if MIXED not in model.names:
        return None
    return MixedPrecision.model_validate_json(model.file(MIXED).read_text())


def _interval(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float]:
    worse, better = int((before & ~after).sum()), int((~before & after).sum())
    found = difference_interval(worse, better, len(before))
    assert found.high is not None  # noqa: S101 - a difference of proportions is bounded
    return found.low, found.high


def _points(interval: tuple[float, float]) -> Interval:
    low, high = interval
    return Interval(low=100 * low, high=100 * high)
