import pytest

from pipeline.report.pages.report_page import render_html
from tests.pipeline.report.samples import CASES


@pytest.fixture(params=CASES, scope="module")
def page(request: pytest.FixtureRequest) -> str:
    return render_html(CASES[request.param]())
