"""The report in a real browser: on a phone and on a desktop, light and dark."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import pipeline.report.pages.report_page as report_html
from pipeline.report.pages.report_page import render_html
from tests.browser import browser
from tests.pipeline.report.rendered_page import browse, dimensions, in_a_browser
from tests.pipeline.report.samples import everything, pixel_report, report


@in_a_browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_summary_is_copied_as_a_picture_of_what_is_shown(scheme: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_html(report()), encoding="utf-8")
    with browser(tmp_path / "profile") as tab:
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.open(file.as_uri())
        tab.wait_for("!document.getElementById('copy-summary').hidden")
        size = tab.evaluate(
            "(({width, height}) => [width, height])(document.querySelector('header').getBoundingClientRect())"
        )
        encoded = tab.evaluate(
            "summaryPicture().then(picture => picture.arrayBuffer())"
            ".then(bytes => Array.from(new Uint8Array(bytes)))"
        )
        tab.evaluate("document.getElementById('copy-summary').click()")
        told = tab.wait_for("document.getElementById('copied').textContent")
        assert tab.problems == []
    assert told in ("Copied.", "Saved as summary.png.")
    picture = cv2.imdecode(np.array(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] == 2 * np.ceil(size[0])
    assert picture.shape[0] >= 2 * size[1]
    pixels = picture[:, :, ::-1].reshape(-1, 3)
    css = (Path(report_html.__file__).parent / "templates/report.css").read_text().split(":root {")
    shown = dict(re.findall(r"--([a-z0-9-]+): #([0-9a-f]{6})", css[1 + (scheme == "dark")].split("}")[0]))
    for name, share in (
        ("page", 0.05),
        ("pass-soft", 0.1),
        ("raised", 0.05),
        ("ink", 0.001),
        ("pass", 0.001),
    ):
        colour = [int(shown[name][place : place + 2], 16) for place in (0, 2, 4)]
        assert (np.abs(pixels.astype(int) - colour).max(axis=1) <= 2).mean() > share, name


COLUMNS = """<!doctype html><meta charset="utf-8"><style>body{{margin:0}}iframe{{border:0}}</style>
<iframe width="{width}" height="{height}" srcdoc="{page}"></iframe>
<script>onload = () => {{
  const page = frames[0].document, width = page.documentElement.clientWidth;
  page.querySelectorAll('details').forEach(each => {{ each.open = true; }});
  const hidden = [...page.querySelectorAll('table')].filter(table => {{
    const scroll = table.parentElement, cells = table.querySelectorAll('tbody tr:first-child > *');
    if (cells[1].getBoundingClientRect().right > width) return true;
    scroll.scrollLeft = 9999;
    return Math.round(cells[cells.length - 1].getBoundingClientRect().right) > width
      || cells[0].getBoundingClientRect().left < 0;
  }});
  document.title = `hidden: ${{hidden.map(table => table.parentElement.ariaLabel).join('; ')}}`;
}}</script>"""


@in_a_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 390])
def test_on_a_phone_each_table_shows_a_figure_beside_the_name_and_scrolls_to_the_last(
    width: int, tmp_path: Path
) -> None:
    """The name stays in sight meanwhile, and does not take the room of the figures."""
    shown = everything()
    assert shown.coverage is not None
    assert shown.coverage.times is not None
    long = shown.coverage.times.layers[0].replace(
        layer="Conv '/network/layer3/layer3.2/downsample/very/long/name/conv2/Conv'"
    )
    times = shown.coverage.times.replace(layers=(long, *shown.coverage.times.layers[1:]))
    shown = shown.replace(coverage=shown.coverage.replace(times=times))
    for page in (render_html(shown), render_html(pixel_report())):
        output = browse(page, width, 900, tmp_path, "--dump-dom", frame=COLUMNS)
        found = re.search("<title>hidden: (.*?)</title>", output)
        assert found
        assert found[1] == ""


@in_a_browser
def test_the_browser_check_would_notice_an_error_and_an_overflow(tmp_path: Path) -> None:
    broken = "<body><script>console.error('broken')</script><div style='width: 900px'>wide</div>"
    console, scroll_width, client_width, _ = dimensions(broken, 375, tmp_path)
    assert "broken" in console
    assert scroll_width > client_width


@in_a_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1200])
def test_the_screen_is_light_or_dark_as_asked_and_not_empty(width: int, tmp_path: Path) -> None:
    means = []
    for dark in (False, True):
        picture = tmp_path / f"{dark}.png"
        browse(render_html(report()), width, 1400, tmp_path, f"--screenshot={picture}", dark=dark)
        pixels = cv2.imread(str(picture))
        assert pixels is not None
        shown = pixels[:, :width]
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 200
        means.append(float(shown.mean()))
    assert means[0] > 200
    assert means[1] < 60
