"""docs/your-photos.md, as it stands: its commands and its edgec.toml, on photos as users have them."""

import json
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT, Edgec
from tests.messy_photos import NAMES, drawn, write_messy

PAGE = (ROOT / "docs" / "your-photos.md").read_text()
INDENTED = [line.removeprefix("    ") for line in PAGE.splitlines() if line.startswith("    ")]
COMMANDS = [shlex.split(line)[1:] for line in INDENTED if line.startswith("edgec ")]
EACH = 12
SHORT = "\n[latency]\nseconds = 0.2\n"
"""Added to the page's settings: how long is measured decides nothing here."""


def settings() -> str:
    """Return the page's edgec.toml."""
    begin = next(n for n, line in enumerate(INDENTED) if line.startswith("model ="))
    end = next(n for n, line in enumerate(INDENTED) if line.startswith("edgec build"))
    return "\n".join(INDENTED[begin:end]) + "\n"


@pytest.mark.slow
def test_the_page_runs_as_written(edgec: Edgec, tmp_path: Path) -> None:
    """Fewer photos than on the page, of things that are easily told apart."""
    photos = {name: drawn(kind, EACH) for kind, name in enumerate(NAMES)}
    damaged = write_messy(tmp_path / "photos", photos)
    (tmp_path / "edgec.toml").write_text(settings() + SHORT)
    assert [command[0] for command in COMMANDS] == ["train", "build"]
    trained, built = (edgec(*command, cwd=tmp_path) for command in COMMANDS)
    for done in (trained, built):
        assert done.returncode == 0, done.stdout + done.stderr
    said = trained.stdout + trained.stderr
    assert "Starts from edgec's weights" in said
    assert damaged.name in said + built.stdout + built.stderr
    out = tmp_path / "out"
    report = json.loads((out / "resnet18-narrow2-128px-host" / "report.json").read_text())
    assert set(report["subject"]["classes"]) == set(NAMES)
    top1 = report["accuracy"]["top1"]
    assert top1["int8_correct"] / top1["images"] >= 0.75
    assert (out / "resnet18-narrow2-128px-host.edgec").is_file()
    assert {"plausible", "max_drop", "min_top1"} <= {gate["name"] for gate in report["gates"]}
