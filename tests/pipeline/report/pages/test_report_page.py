"""The content and order of a report's page, and that it can be read on every device."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

import pipeline.report.pages.report_page as report_html
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.pages.report_page import render_html
from tests.pipeline.report.rendered_page import RenderedPage
from tests.pipeline.report.samples import (
    CPU,
    everything,
    pixel_accuracy,
    pixel_report,
    report,
    robustness,
)


def test_coverage_is_by_arithmetic_and_by_measured_time() -> None:
    page = render_html(everything())
    text = RenderedPage(page).text
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
    text = RenderedPage(render_html(report())).text
    assert text.index(f"ran on host: {CPU}") < text.index("INT8 loses")


def test_a_reason_for_noise_that_both_have_is_said_once() -> None:
    shown, reason = report(), "load average was 4.0 on 2 cores before the first run"
    fp32, int8 = (one.replace(noisy=(reason,)) for one in (shown.latency_fp32, shown.latency_int8))
    text = RenderedPage(render_html(shown.replace(latency_fp32=fp32, latency_int8=int8))).text
    assert text.count(reason) == 1
    assert text.count("The machine before and after") == 1


def test_a_loss_has_one_sign_for_the_whole_and_for_each_class() -> None:
    """What INT8 loses is a drop above zero; no table turns it around and calls it a change."""
    shown = report(noise=0.6)
    assert isinstance(shown.accuracy, Accuracy)
    assert shown.accuracy.top1.drop_points > 0
    page = RenderedPage(render_html(shown)).text
    for one in shown.accuracy.per_class:
        lost = 100 * (one.fp32_correct - one.int8_correct) / one.images
        assert f"{shown.subject.classes[one.label]} {one.images:,} " in page
        assert f" % {lost:+.2f} {one.worse} {one.better} " in page
    for whole in (page, RenderedPage(render_html(pixel_report())).text):
        assert "Change, points" not in whole
        assert "Drop, points" in whole[whole.index("Class") :]


SCRIPT = (Path(report_html.__file__).parent / "templates/report.js").read_text().strip()


def scripts(page: str) -> list[str]:
    """The scripts that a browser would run."""
    assert len(RenderedPage(page).all("script")) == page.count("<script")
    return [script.strip() for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)]


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    for _, attributes in RenderedPage(page).elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert re.match(r"(data:|#)", attributes.get(name) or "#"), attributes
    assert not re.search(r"url\(|@import|<iframe|<object", page)
    assert scripts(page) == [SCRIPT]
    assert not re.search(
        r"fetch|XMLHttpRequest|WebSocket|import\(|https?://(?!www\.w3\.org/2000/svg)", SCRIPT
    )


def test_it_can_be_read_without_seeing_it(page: str) -> None:
    found = RenderedPage(page)
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
    text = RenderedPage(render_html(report(noise=0.6))).text
    assert text.index("Fail") < text.index("INT8 loses") < text.index("Accuracy")


def test_no_python_leaks_into_the_text(page: str) -> None:
    assert not re.search(r"\b(None|nan|inf|Undefined|Origin\.|Verdict\.)\b", RenderedPage(page).text)


def test_names_are_shown_and_never_interpreted() -> None:
    nasty = ('<script>alert("x")</script>', '"><img src=http://a/ onerror=alert(1)>', "{{ 7 * 7 }}", "a & b")
    shown = report(noise=1.0, classes=nasty, images=500)
    subject = shown.subject.replace(model=nasty[0], target=nasty[1])
    page = render_html(shown.replace(subject=subject))
    found = RenderedPage(page)
    assert scripts(page) == [SCRIPT]
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in found.all("img"))
    assert all(name in found.text for name in nasty)


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    text = RenderedPage(render_html(report(measured=False))).text
    assert "Not measured: no board connected." in text
    assert "0 ms" not in text


def test_a_thousand_classes_do_not_make_a_thousand_rows() -> None:
    names = tuple(f"class {i}" for i in range(1000))
    page = render_html(report(noise=1.0, classes=names, images=4000))
    assert page.count("<tr>") < 120
    assert "The 40 classes that lost most" in RenderedPage(page).text


def test_robustness_says_what_was_found_before_it_shows_it() -> None:
    text = RenderedPage(render_html(report().replace(robustness=robustness(harm=0.3)))).text
    conclusion = text.index("INT8 loses more under fog 1, fog 5.")
    assert conclusion < text.index("What INT8 loses more than FP32") < text.index("p, Holm")
    assert "measured on emulator" in text
    assert 'id="robustness"' not in render_html(report())


@pytest.mark.parametrize("labelled", [False, True])
def test_pixels_are_reported_in_place_of_images(labelled: bool) -> None:
    shown = RenderedPage(render_html(pixel_report(labelled)))
    assert "Classes of pixels" in shown.text
    assert ("against masks" in shown.text) is labelled
    assert ("There are no masks" in shown.text) is not labelled
    assert "McNemar" not in shown.text
    assert len(shown.all("img")) == 3 * len(pixel_accuracy(labelled).worst) == 36


def test_thousands_of_flips_are_not_all_named() -> None:
    """Two thousand names made the page so long that axe-core gave no answer in a minute."""
    shown = report(noise=1.0)
    assert isinstance(shown.accuracy, Accuracy)
    flips = shown.accuracy.negative_flips
    unpictured = [flip for flip in flips if not flip.thumbnail_png]
    page = RenderedPage(render_html(shown)).text
    assert len(unpictured) > 200
    assert f"{len(unpictured):,} more images The first 100 of them." in page
    assert unpictured[99].name in page
    assert unpictured[100].name not in page


def test_a_few_flips_are_all_named() -> None:
    shown = report(noise=0.1)
    assert isinstance(shown.accuracy, Accuracy)
    page = RenderedPage(render_html(shown)).text
    assert all(flip.name in page for flip in shown.accuracy.negative_flips)
    assert "The first" not in page
