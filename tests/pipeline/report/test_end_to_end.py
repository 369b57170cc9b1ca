"""Every form of the report shows the latency from a picture's file on beside the model's."""

from pipeline.report.markdown import report_summary
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Interval
from pipeline.report.model.measured_latency import Quantile
from pipeline.report.model.picture_latency import EndToEnd, StepTime
from pipeline.report.pages.report_page import render_html
from targets.base import Origin
from tests.pipeline.report.rendered_page import RenderedPage
from tests.pipeline.report.samples import printed, report


def step(ms: float) -> StepTime:
    p50, p90, p99 = (
        Quantile(ms=factor * ms, interval=Interval(low=factor * ms - 0.01, high=factor * ms + 0.01))
        for factor in (1.0, 1.25, 2.0)
    )
    return StepTime(p50=p50, p90=p90, p99=p99, runs=500)


def timed(decode: bool = True) -> Report:
    found = EndToEnd(
        origin=Origin.HOST,
        pictures=64,
        smallest=(480, 640),
        largest=(720, 1280),
        threads=1,
        decode=step(8.0) if decode else None,
        fit=step(48.0),
        model=step(4.0),
        whole=step(60.0),
    )
    return report().replace(end_to_end=found)


def test_every_form_says_what_share_the_model_has() -> None:
    said = (
        "A picture takes 60.00 ms from its file to the answer, of which the model takes 4.000 ms (7%).",
        "64 pictures in turn, 480 x 640 to 720 x 1280, their files in memory, one at a time, 1 thread",
    )
    for text in (
        RenderedPage(render_html(timed())).text,
        " ".join(printed(timed()).split()),
        report_summary(timed()),
    ):
        for sentence in said:
            assert sentence in text


def test_the_steps_stand_apart_from_the_model() -> None:
    text = " ".join(printed(timed()).split())
    assert "decode 8.000 ms 10.00 ms 16.00 ms" in text
    assert "resize and crop 48.00 ms 60.00 ms 96.00 ms" in text
    assert "model 4.000 ms" in text
    assert "whole 60.00 ms" in text
    page = RenderedPage(render_html(timed())).text
    assert page.index("Picture to answer, p50 60.00 ms the model alone 4.000 ms") < page.index("Accuracy")
    assert "| picture to answer, p50 |  | 60.00 ms (host) |" in report_summary(timed())


def test_where_pixels_are_stored_there_is_nothing_to_decode() -> None:
    text = " ".join(printed(timed(decode=False)).split())
    assert "stored as pixels: nothing to decode" in text
    assert "from its pixels to the answer" in text
    assert "decode 8" not in text


def test_a_report_without_it_says_nothing_of_it() -> None:
    assert "picture to answer" not in render_html(report()) + printed(report()) + report_summary(report())
