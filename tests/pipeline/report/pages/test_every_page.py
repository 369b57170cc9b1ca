"""Every kind of page, in one real browser: on a phone, a tablet and a desktop, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, browser
from tests.pipeline.report.pages.every_page import PAGES
from tests.pipeline.report.rendered_page import in_a_browser

pytestmark = [in_a_browser, pytest.mark.slow]
WIDTHS = (390, 768, 1440)
PICTURES_WITHOUT_CONTENT = (
    "Array.from(document.images).filter(one => !(one.complete && one.naturalWidth)).map(one => one.alt)"
)
"""Before anybody scrolls: nobody does in front of a printer or a full screenshot."""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_each_screen_runs_silently_and_has_no_barrier(
    name: str, tab: Browser, tmp_path: Path
) -> None:
    """Barriers are axe-core's: on a phone in the dark, and on a desktop in the light."""
    file = tmp_path / "page.html"
    file.write_text(PAGES[name]())
    for width, scheme in zip(WIDTHS, ("dark", "light", "light"), strict=True):
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        tab.open(file.as_uri())
        tab.wait_for(f"document.readyState === 'complete' && location.href === '{file.as_uri()}'")
        assert tab.evaluate(PICTURES_WITHOUT_CONTENT) == [], "they would be empty when printed"
        tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if width != WIDTHS[1]:
            assert tab.barriers() == []
    assert tab.problems == []


def test_a_barrier_would_be_noticed(tab: Browser, tmp_path: Path) -> None:
    file = tmp_path / "broken.html"
    file.write_text("<!doctype html><html><title>x</title><body><main><h1>x</h1><img src='data:,'></main>")
    tab.open(file.as_uri())
    tab.wait_for("document.querySelector('img') !== null")
    assert {one.partition(":")[0] for one in tab.barriers()} >= {"image-alt", "html-has-lang"}
