"""FP8 beside INT8 in every form of the report."""

from pipeline.report.markdown import report_summary
from pipeline.report.model.certainty import Interval
from pipeline.report.model.fp8_accuracy import Fp8Accuracy
from pipeline.report.pages.report_page import render_html
from tests.pipeline.report.samples import printed, report

FOUND = Fp8Accuracy(
    images=500,
    fp32_correct=460,
    int8_correct=459,
    fp8_correct=455,
    fp8_drop=1.0,
    fp8_drop_interval=Interval(low=-0.25, high=2.5, level=0.95),
    int8_drop=0.2,
    int8_drop_interval=Interval(low=-0.5, high=1.0, level=0.95),
    int8_to_fp8=0.8,
    int8_to_fp8_interval=Interval(low=-0.4, high=2.2, level=0.95),
)


def test_every_form_of_the_report_has_the_three_accuracies_and_what_decides() -> None:
    shown = report().replace(fp8=FOUND)
    for text in (render_html(shown), printed(shown, 400), report_summary(shown)):
        plain = text.replace("&nbsp;", " ").replace("\u202f", " ").replace("\xa0", " ")
        assert "on 500 images is FP32 92.00 %, INT8 91.80 %, FP8 91.00 %" in plain
        assert "only the device decides" in plain


def test_without_fp8_nothing_speaks_of_it() -> None:
    shown = report()
    for text in (render_html(shown), printed(shown, 400), report_summary(shown)):
        assert "FP8" not in text
