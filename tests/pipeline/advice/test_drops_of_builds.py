"""What the report advises where INT8 loses too much: layers in float, or another recipe."""

import re
import tomllib
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from tests.pipeline.harmed_weights import write_harmed


def reported(folder: Path, **more: object) -> Report:
    options: dict[str, object] = {
        "model": "resnet20-fashion",
        "target": "reference",
        "checkpoint": folder / "weights.safetensors",
        "out": folder / "out",
        "calibration.images": 32,
        "calibration.tuning_images": 400,
        "validation.images": 1000,
        "validation.max_drop": 3.0,
    }
    return Build(load_config(BuildConfig, None, options | more), Silent()).lasting_report.load()


def test_max_drop_or_several_recipes_lower_a_drop(tmp_path: Path) -> None:
    write_harmed(tmp_path)
    first = reported(tmp_path, **{"calibration.recipe": "w8a8_sym"})
    (failed,) = (gate for gate in first.gates if gate.verdict is Verdict.FAIL)
    words = re.fullmatch(
        r'Set (max_drop = [\d.]+) under .*, or (recipe = "auto") there, .*\.',
        failed.next_step,
    )
    assert words is not None
    said = " under [calibration], which leaves the layers that cost most in float, or recipe ="
    assert said in failed.next_step
    for line in words.groups():
        ((key, value),) = tomllib.loads(line).items()
        again = reported(tmp_path, **{f"calibration.{key}": value})
        (gate,) = (one for one in again.gates if one.name == failed.name)
        assert gate.verdict is Verdict.PASS, line
