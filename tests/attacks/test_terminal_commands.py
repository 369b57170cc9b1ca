"""What files hold reaches a terminal as text: no name in them gives it a command."""

import ast
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from pipeline.cli.console import say, say_json
from pipeline.cli.printable_console import PrintableConsole
from pipeline.report.model.build_report import Report
from pipeline.report.terminal import render_terminal
from targets.runtime.exact.session import open_session
from targets.runtime.printable import printable
from tests.conftest import ROOT
from tests.pipeline.report.samples import pixel_report, report

OWNED = "\x1b]0;owned\x07\x1b[2J\x9b31m"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def fields(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all texts."""
    if isinstance(value, dict):
        return [found for name, one in value.items() for found in fields(one, (*path, name))]
    if isinstance(value, list):
        return [found for n, one in enumerate(value) for found in fields(one, (*path, n))]
    return [path] if isinstance(value, str) else []


def with_attack(whole: str, path: tuple[str | int, ...]) -> str:
    found = json.loads(whole)
    place = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] += OWNED
    return json.dumps(found)


def shown(found: Report) -> str:
    output = io.StringIO()
    render_terminal(found, PrintableConsole(file=output, width=80))
    return output.getvalue()


@pytest.mark.parametrize("whole", [report(), pixel_report()], ids=["classes", "pixels"])
def test_no_field_of_a_report_is_a_command_to_the_terminal(whole: Report) -> None:
    text = whole.to_json()
    tried = 0
    for path in {
        tuple(0 if isinstance(step, int) else step for step in one) for one in fields(json.loads(text))
    }:
        try:
            found = Report.parse(with_attack(text, path).encode(), "report.json")
        except Exception:  # noqa: S112 - a field that takes no other word cannot carry an attack
            continue
        tried += 1
        assert not CONTROL.search(shown(found)), path
    assert tried > 20


def test_what_is_said_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{OWNED}\tone\ntwo")
    assert capsys.readouterr().out == "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\tone\ntwo\n"
    say_json(json.dumps({"name": OWNED}, ensure_ascii=False))
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": OWNED}
    assert not CONTROL.search(out)
    turned = json.dumps({"name": "gpj.\u202eexe\ud800"}, ensure_ascii=False)
    say_json(turned)
    out = capsys.readouterr().out
    assert out == '{"name": "gpj.\\u202eexe\\ud800"}\n'
    assert json.loads(out) == json.loads(turned)
    assert printable("ünï ✓\r") == "ünï ✓\\x0d"
    assert printable("gpj.\u202eexe\ud800\u2028") == "gpj.\\u202eexe\\ud800\\u2028"


def test_onnxruntime_says_nothing_itself() -> None:
    """Its log has the names of a file's nodes unescaped. Errors are raised too, and edgec reports them."""
    severities = [
        ast.unparse(node.value)
        for top in ("pipeline", "calibration", "targets")
        for path in (ROOT / top).rglob("*.py")
        if "log_severity_level" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("log_severity_level")
    ]
    assert len(severities) >= 4
    assert set(severities) == {"4"}


def test_an_error_while_a_network_runs_prints_none_of_its_names(
    capfd: pytest.CaptureFixture[str],
) -> None:
    shape = numpy_helper.from_array(np.array([0, 7], np.int64), "shape")  # of 2 x 16 values
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"], name=OWNED)]
    x, y = (helper.make_tensor_value_info(name, 1, ["n", "m"]) for name in ("x", "y"))
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], [shape]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    session = open_session(model.SerializeToString())
    with pytest.raises(Exception, match="Reshape"):
        session.run(None, {"x": np.zeros((2, 16), np.float32)})
    assert capfd.readouterr() == ("", "")


def calls(path: Path) -> set[str]:
    found = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {ast.unparse(name) for name in found}


def test_the_command_line_prints_through_these_functions_alone() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        if path.name not in ("console.py", "printable_console.py"):
            assert not calls(path) & {"typer.echo", "click.echo", "print", "Console", "typer.secho"}, path
