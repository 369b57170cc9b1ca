import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import pipeline.report.pages.report_page as report_html
from pipeline.report.model.build_report import Report
from pipeline.report.model.float_layers import Coverage, LayerTimes, TimedLayer
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.layer_noise import LayerSensitivity
from pipeline.report.pages.report_page import render_html
from targets.base import Origin
from tests.browser import browser
from tests.pipeline.report.browser import Page, barriers, browse, dimensions, in_a_browser
from tests.pipeline.report.samples import CPU, advised, pixel_accuracy, pixel_report, report, robustness


def everything() -> Report:
    """A report with every optional section."""
    shown = report(noise=0.3)
    return shown.replace(
        coverage=Coverage(
            int8_macs=40_000_000,
            total_macs=40_551_424,
            float_layers=("linear",),
            times=LayerTimes(
                origin=Origin.HOST,
                layers=(
                    TimedLayer(layer="Conv 'stem'", int8=True, macs=40_000_000, microseconds=750.0),
                    TimedLayer(layer="Gemm 'linear'", int8=False, macs=551_424, microseconds=250.0),
                ),
            ),
        ),
        sensitivity=tuple(
            LayerSensitivity(layer=f"layer{i}", sqnr_db=20.0 + i, agreement=0.99, without_sqnr_db=30.0)
            for i in range(8)
        ),
        robustness=robustness(),
        recommendation=advised(),
    )


CASES: dict[str, Callable[[], Report]] = {
    "everything": everything,
    "nothing measured": lambda: report(measured=False),
    "sixty classes": lambda: report(noise=1.0, classes=tuple(f"class number {i}" for i in range(60))),
    "two classes, no flips": lambda: report(noise=0.0, classes=("cat", "dog"), images=300),
}


def test_coverage_is_by_arithmetic_and_by_measured_time() -> None:
    page = render_html(everything())
    text = Page(page).text
    section = text[text.index("INT8 coverage") :]
    assert section.index("Arithmetic 98.64 %") < section.index("Time in layers 75.00 %")
    assert "of 40,551,424 MAC and of the time in layers (host)" in section
    assert "INT8 98.64" not in section


def test_what_each_layer_takes_is_folded() -> None:
    page = render_html(everything())
    folded = page[page.index('id="coverage"') :]
    folded = folded[folded.index("<details>") : folded.index("</details>")]
    assert "Time in each of 2 layers" in folded
    assert "Gemm &#39;linear&#39;" in folded
    assert "750 µs" in folded


def test_the_processor_is_named_before_the_verdict() -> None:
    text = Page(render_html(report())).text
    assert text.index(f"ran on host: {CPU}") < text.index("INT8 loses")


def test_a_reason_for_noise_that_both_have_is_said_once() -> None:
    shown, reason = report(), "load average was 4.0 on 2 cores before the first run"
    fp32, int8 = (one.replace(noisy=(reason,)) for one in (shown.latency_fp32, shown.latency_int8))
    text = Page(render_html(shown.replace(latency_fp32=fp32, latency_int8=int8))).text
    assert text.count(reason) == 1
    assert text.count("The machine before and after") == 1


def test_a_loss_has_one_sign_for_the_whole_and_for_each_class() -> None:
    """What INT8 loses is a drop above zero; no table turns it around and calls it a change."""
    shown = report(noise=0.6)
    assert isinstance(shown.accuracy, Accuracy)
    assert shown.accuracy.top1.drop_points > 0
    page = Page(render_html(shown)).text
    for one in shown.accuracy.per_class:
        lost = 100 * (one.fp32_correct - one.int8_correct) / one.images
        assert f"{shown.subject.classes[one.label]} {one.images:,} " in page
        assert f" % {lost:+.2f} {one.worse} {one.better} " in page
    for whole in (page, Page(render_html(pixel_report())).text):
        assert "Change, points" not in whole
        assert "Drop, points" in whole[whole.index("Class") :]


SCRIPT = (Path(report_html.__file__).parent / "templates/report.js").read_text().strip()


def scripts(page: str) -> list[str]:
    """What a browser would run."""
    assert len(Page(page).all("script")) == page.count("<script")
    return [script.strip() for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)]


@pytest.fixture(params=CASES, scope="module")
def page(request: pytest.FixtureRequest) -> str:
    return render_html(CASES[request.param]())


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    for _, attributes in Page(page).elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert re.match(r"(data:|#)", attributes.get(name) or "#"), attributes
    assert not re.search(r"url\(|@import|<iframe|<object", page)
    assert scripts(page) == [SCRIPT]
    assert not re.search(
        r"fetch|XMLHttpRequest|WebSocket|import\(|https?://(?!www\.w3\.org/2000/svg)", SCRIPT
    )


def test_it_can_be_read_without_seeing_it(page: str) -> None:
    found = Page(page)
    assert found.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image.get("alt") for image in found.all("img"))
    assert all(head.get("scope") for head in found.all("th"))
    regions = [a for a in found.all("div") if a.get("class") == "scroll"]
    assert all(r["tabindex"] == "0" and r["role"] == "region" and r["aria-label"] for r in regions)
    assert len(regions) == len(found.all("table"))
    drawings = [a for a in found.all("svg") if a.get("role") == "img"]
    assert all(drawing["aria-label"] for drawing in drawings)
    assert all(i in {a.get("id") for _, a in found.elements} for i in ("accuracy", "latency", "provenance"))


def test_the_verdict_comes_before_any_other_heading() -> None:
    text = Page(render_html(report(noise=0.6))).text
    assert text.index("Fail") < text.index("INT8 loses") < text.index("Accuracy")


def test_no_python_leaks_into_the_text(page: str) -> None:
    assert not re.search(r"\b(None|nan|inf|Undefined|Origin\.|Verdict\.)\b", Page(page).text)


def test_names_are_shown_and_never_interpreted() -> None:
    nasty = ('<script>alert("x")</script>', '"><img src=http://a/ onerror=alert(1)>', "{{ 7 * 7 }}", "a & b")
    shown = report(noise=1.0, classes=nasty, images=500)
    subject = shown.subject.replace(model=nasty[0], target=nasty[1])
    page = render_html(shown.replace(subject=subject))
    found = Page(page)
    assert scripts(page) == [SCRIPT]
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in found.all("img"))
    assert all(name in found.text for name in nasty)


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    text = Page(render_html(report(measured=False))).text
    assert "Not measured: no board connected." in text
    assert "0 ms" not in text


def test_a_thousand_classes_do_not_make_a_thousand_rows() -> None:
    names = tuple(f"class {i}" for i in range(1000))
    page = render_html(report(noise=1.0, classes=names, images=4000))
    assert page.count("<tr>") < 120
    assert "The 40 classes that lost most" in Page(page).text


def test_robustness_says_what_was_found_before_it_shows_it() -> None:
    text = Page(render_html(report().replace(robustness=robustness(harm=0.3)))).text
    conclusion = text.index("INT8 loses more under fog 1, fog 5.")
    assert conclusion < text.index("What INT8 loses more than FP32") < text.index("p, Holm")
    assert "measured on emulator" in text
    assert 'id="robustness"' not in render_html(report())


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


@in_a_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1200])
def test_in_a_browser_nothing_overflows_and_the_console_is_silent(
    page: str, width: int, tmp_path: Path
) -> None:
    console, scroll_width, client_width, height = dimensions(page, width, tmp_path)
    assert console == ""
    assert scroll_width <= client_width == width
    assert height > 900


@in_a_browser
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 1200])
def test_axe_core_finds_no_barrier(width: int, dark: bool, tmp_path: Path) -> None:
    assert barriers(render_html(everything()), width, tmp_path, dark) == ""


@pytest.mark.parametrize("labelled", [False, True])
def test_pixels_are_reported_in_place_of_images(labelled: bool) -> None:
    shown = Page(render_html(pixel_report(labelled)))
    assert "Classes of pixels" in shown.text
    assert ("against masks" in shown.text) is labelled
    assert ("There are no masks" in shown.text) is not labelled
    assert "McNemar" not in shown.text
    assert len(shown.all("img")) == 3 * len(pixel_accuracy(labelled).worst) == 36


@in_a_browser
@pytest.mark.slow
def test_a_report_of_pixels_fits_a_phone_and_has_no_barrier(tmp_path: Path) -> None:
    page = render_html(pixel_report())
    console, scroll_width, client_width, _ = dimensions(page, 375, tmp_path)
    assert (console, scroll_width) == ("", client_width)
    assert barriers(page, 375, tmp_path) == ""


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
def test_axe_core_would_notice_a_barrier(tmp_path: Path) -> None:
    broken = (
        "<!doctype html><html><title>x</title><body><main><h1>x</h1><img src='data:,'></main></body></html>"
    )
    found = barriers(broken, 375, tmp_path)
    assert "image-alt" in found
    assert "html-has-lang" in found


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
