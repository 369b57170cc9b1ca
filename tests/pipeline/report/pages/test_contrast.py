"""The colours of the pages, by WCAG 2.2."""

import re
from pathlib import Path

import pytest

import pipeline.report.pages.report_page as report_html


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_meets_wcag_aa(theme: int) -> None:
    css = (Path(report_html.__file__).parent / "templates/report.css").read_text()
    colours = dict(
        re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", css.split(":root {")[theme + 1].split("}")[0])
    )
    for background in ("page", "raised"):
        for text in ("ink", "soft", "int8", "wrong"):
            assert contrast(colours[text], colours[background]) >= (4.5 if text != "wrong" else 3), text
        assert contrast(colours["fp32"], colours[background]) >= 3
    for verdict in ("pass", "fail", "inconclusive"):
        assert contrast(colours[verdict], colours[f"{verdict}-soft"]) >= 4.5
        assert contrast(colours["ink"], colours[f"{verdict}-soft"]) >= 4.5
