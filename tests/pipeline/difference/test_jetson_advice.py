"""What a folder lacks to be compared on a Jetson, and that adding it helps."""

import re
from pathlib import Path

import pytest

from pipeline.difference.jetson_side import module_of
from pipeline.errors import UsageError
from tests.pipeline.report.samples import report


def write(folder: Path, target: str) -> None:
    whole = report()
    (folder / "report.json").write_text(whole.replace(subject=whole.subject.replace(target=target)).to_json())


def test_building_it_again_helps(tmp_path: Path) -> None:
    words = " has no report.json, which says for which module it is. Build it again."
    with pytest.raises(UsageError) as error:
        module_of(tmp_path)
    assert str(error.value) == f"{tmp_path}{words}"
    write(tmp_path, "jetson-orin-nano")
    assert module_of(tmp_path).name == "jetson-orin-nano"


def test_a_build_for_a_jetson_helps(tmp_path: Path) -> None:
    write(tmp_path, "rpi5")
    with pytest.raises(UsageError, match=re.escape("which is not a Jetson. Give a build for one.")):
        module_of(tmp_path)
    write(tmp_path, "jetson-thor")
    assert module_of(tmp_path).name == "jetson-thor"
