"""How much the quantisation of each layer costs: sensitivity.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import TypeAdapter

from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.model.layer_noise import LayerSensitivity
from pipeline.stages.image_set import ModelImages
from pipeline.stages.observe_part import TOOLS
from pipeline.stages.quantize import QuantizedNetwork

Sensitivities = TypeAdapter(tuple[LayerSensitivity, ...])
NO_NOISE_DB = 200.0
"""The SQNR recorded for a layer that changes no logit: that of float32 itself is about 140 dB."""


@dataclass(frozen=True)
class Attribute(Stage):
    """Quantise one layer at a time, and all but one, and compare the logits with the float model's."""

    name: ClassVar[str] = "attribute"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    network: QuantizedNetwork
    evaluation: ModelImages

    def run(self, output: Path, progress: Progress) -> None:
        """Write sensitivity.json. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.explore.sensitivity import sensitivity

        produced = self.network.produced()
        with progress.task("attribute the error to layers", None) as advance:
            rows = sensitivity(produced, self.network.recipe, self.evaluation.batches, advance)
        table = tuple(
            LayerSensitivity(
                layer=row.layer,
                sqnr_db=min(row.alone.sqnr_db, NO_NOISE_DB),
                agreement=row.alone.agreement,
                without_sqnr_db=min(row.without.sqnr_db, NO_NOISE_DB),
            )
            for row in rows
        )
        (output / "sensitivity.json").write_bytes(Sensitivities.dump_json(table, indent=1))
