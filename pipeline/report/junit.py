"""Gates as JUnit XML, which every CI system shows."""

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate

TAGS = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error", Verdict.MEANINGLESS: "error"}


def junit_xml(suite: str, gates: Sequence[Gate]) -> str:
    """Return one test suite with a case for each gate; what is inconclusive or meaningless is an error."""
    verdicts = [gate.verdict for gate in gates]
    root = Element(
        "testsuite",
        name=_printable(suite),
        tests=str(len(gates)),
        failures=str(verdicts.count(Verdict.FAIL)),
        errors=str(verdicts.count(Verdict.INCONCLUSIVE) + verdicts.count(Verdict.MEANINGLESS)),
        skipped="0",
    )
    for gate in gates:
        case = SubElement(root, "testcase", classname=_printable(suite), name=gate.name)
        tag = TAGS.get(gate.verdict)
        text = f"{gate.claim}: {gate.message}" + (f". {gate.next_step}" if gate.next_step else "")
        if tag is None:
            SubElement(case, "system-out").text = _printable(text)
        else:
            SubElement(case, tag, message=_printable(text), type=gate.verdict)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _printable(text: str) -> str:
    """Replace what XML 1.0 cannot hold (section 2.2), control characters above all."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text)
