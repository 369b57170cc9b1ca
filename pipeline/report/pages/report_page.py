"""A report as one HTML file that makes no requests: light and dark, for phone and desktop.

Its only script copies the summary as a picture; everything else works without it.
"""

from collections.abc import Sequence
from itertools import chain

from pipeline.report.model.build_report import SECTIONS, Report
from pipeline.report.pages.template import own_file, render_page, render_part
from pipeline.report.section import ReportSection
from pipeline.report.sections.provenance import ran_on


def render_html(report: Report, sections: Sequence[ReportSection[Report]] = SECTIONS) -> str:
    """Return the report as a complete HTML document."""
    methods = [sentence for section in sections for sentence in section.methods(report)]
    return render_page(
        "report.html.j2",
        report=report,
        script=own_file("report.js"),
        ran_on=ran_on(report.machines),
        lead=list(chain.from_iterable(section.html_lead(report) for section in sections)),
        tiles=list(chain.from_iterable(section.tiles(report) for section in sections)),
        sections=[
            render_part(f"sections/{section.name}.html.j2", methods=methods, **content)
            for section in sections
            if (content := section.html(report)) is not None
        ],
    )
