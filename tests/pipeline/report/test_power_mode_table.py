"""The record of a sweep of power modes, as the device writes it, in every form of the report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.markdown import report_summary
from pipeline.report.model.build_report import Report
from pipeline.report.model.power_mode_sweep import PowerModeSweep
from pipeline.report.pages.report_page import render_html
from pipeline.report.sections.power_mode_table import mode_plot
from targets.runtime.nvpmodel import PowerMode
from targets.runtime.sustained import power_modes
from targets.runtime.sustained.load import Drift, Energy
from targets.runtime.sustained.soak import Soaked
from tests.pipeline.report.samples import printed, report

ENERGY = Energy("rail VDD_IN", 4.0, 10.0, 50.0, 30.0, 0.5, 0.75)
FOUND = Soaked(
    60.0, 100, 10.0, (5.0, 4.9, 5.1), Drift(1.02, 0.99, 1.05), 60.0, {"over-current (oc1)": 3.0}, ENERGY, ""
)
MODES = [PowerMode(number, name) for number, name in enumerate(("15W", "25W", "MAXN_SUPER", "7W"))]


@pytest.fixture
def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PowerModeSweep:
    """What the device's program records: two modes measured, one not in force, one that needs a reboot."""
    here: Any = power_modes
    mode = [MODES[1]]

    def set_mode(wanted: PowerMode) -> bool:
        mode[:] = [wanted] if wanted.name != "7W" else mode
        return wanted.name != "7W"

    monkeypatch.setattr(here, "current_mode", lambda: mode[0])
    monkeypatch.setattr(here, "set_mode", set_mode)
    monkeypatch.setattr(here, "PATIENCE_S", 0.0)
    monkeypatch.setattr(
        here, "limits_not_in_force", lambda number, _: ["GPU MAX_FREQ is 1, not 2"] if number == 2 else []
    )
    around = {"engine": {"sha256": "ab" * 32}, "seconds": 60.0, "form": power_modes.FORM}
    here.sweep(tmp_path / "r", MODES, around, lambda: replace(FOUND, candidate="fp16"), lambda _: None)
    return PowerModeSweep.model_validate_json((tmp_path / "r").read_text())


def test_every_form_of_the_report_has_a_row_for_each_mode(swept: PowerModeSweep) -> None:
    shown = report().replace(power_modes=swept)
    for text in (render_html(shown), printed(shown, 1000), report_summary(shown)):
        plain = text.replace("\\", "")  # Markdown escapes brackets
        for words in (
            "25W",
            "5.000 ms",
            "50.00 mJ ±0.50",
            "30.00 mJ ±0.75",
            "1.020",
            "over-current (oc1)",
            "MAXN_SUPER is not in force, so it was not measured: GPU MAX_FREQ is 1, not 2.",
            "Not measured, since they need a reboot: 7W.",
            "of the candidate fp16 of 60 s",
        ):
            assert words in plain, words
        assert "Power mode" not in (printed(report(), 1000), render_html(report()))
    assert Report.model_validate_json(shown.to_json()).power_modes == swept
    assert json.loads(shown.to_json())["power_modes"]["results"]["15W"]["sustained_p90_ms"] == [5.0, 4.9, 5.1]


def test_the_plot_has_a_point_for_each_mode_with_both_figures(swept: PowerModeSweep) -> None:
    plot = mode_plot(swept)
    assert plot is not None
    assert [point.name for point in plot.points] == ["25W", "15W"]
    assert (plot.points[0].x, plot.points[0].y) == pytest.approx((100 / 1.15, 100 - 100 / 1.15), abs=0.01)
    assert render_html(report().replace(power_modes=swept)).count("5.00 ms, 50.0 mJ") == 2
    none = {name: one.replace(energy=None) for name, one in swept.results.items()}
    assert mode_plot(swept.replace(results=none)) is None
    assert "Energy of an image" not in render_html(report().replace(power_modes=swept.replace(results=none)))


def test_a_mode_that_was_not_in_force_any_more_is_named(swept: PowerModeSweep) -> None:
    hot = swept.results["15W"].replace(
        power_mode="15W; at the end 15W, not in force (GPU MAX_FREQ is 1, not 2)"
    )
    shown = report().replace(power_modes=swept.replace(results={**swept.results, "15W": hot}))
    assert "15W: the device then had the power mode 15W; at the end 15W, not in force" in printed(shown, 1000)
