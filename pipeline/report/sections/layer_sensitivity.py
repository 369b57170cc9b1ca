"""What quantising single layers costs."""

from collections.abc import Mapping
from typing import Protocol

from pipeline.report.model.layer_noise import LayerSensitivity
from pipeline.report.section import ReportSection


class Attributed(Protocol):
    """What the section reads of report.json."""

    @property
    def sensitivity(self) -> tuple[LayerSensitivity, ...] | None:
        """None: it was not asked for."""
        ...


class LayerSensitivitySection(ReportSection[Attributed]):
    """Each layer, the most sensitive first."""

    name = "layer_sensitivity"

    def html(self, report: Attributed) -> Mapping[str, object] | None:
        """Return the layers."""
        if not report.sensitivity:
            return None
        return {"layers": sorted(report.sensitivity, key=lambda layer: layer.sqnr_db)}
