"""What quantising single layers costs."""

from collections.abc import Mapping
from typing import Protocol

from pipeline.report.record import Record
from pipeline.report.section import ReportSection


class LayerSensitivity(Record):
    """What quantising one layer alone costs, and what is left when all but it are quantised."""

    layer: str
    sqnr_db: float  # of the logits with only this layer in INT8
    agreement: float  # share of images with the same top-1, then
    without_sqnr_db: float  # of the logits with every layer but this one in INT8


class Attributed(Protocol):
    """What the section reads of report.json."""

    @property
    def sensitivity(self) -> tuple[LayerSensitivity, ...] | None:
        """None: nobody asked for it."""
        ...


class LayerSensitivitySection(ReportSection[Attributed]):
    """Each layer, the most sensitive first."""

    name = "layer_sensitivity"

    def html(self, report: Attributed) -> Mapping[str, object] | None:
        """Return the layers."""
        if not report.sensitivity:
            return None
        return {"layers": sorted(report.sensitivity, key=lambda layer: layer.sqnr_db)}
