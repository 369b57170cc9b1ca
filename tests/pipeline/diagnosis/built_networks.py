"""Builds of networks that classify colours, with a description that may be wrong."""

import json
import re
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.models.input_form import usual_forms
from pipeline.progress import Silent
from pipeline.report.model.build_report import Report
from tests.pipeline.diagnosis.colours import COLOURS, TURNED

FORMS = {re.sub(r" \(.*\)", "", form.name): form for form in usual_forms(3)}
LABELS = f"labels = {json.dumps(list(COLOURS))}\n"
WRONG = 'size = [32, 32]\nfit = "stretch"\n' + LABELS
SEGMENTS = f'size = [32, 32]\nfit = "stretch"\ntask = "segment"\nlabels = {json.dumps(list(TURNED))}\n'


def built(net: Path, data: Path) -> Report:
    options = {
        "model": str(net),
        "data": data,
        "target": "reference",
        "out": net.parent / "out",
        "calibration.recipe": "w8a8_asym_minmax",
        "validation.max_drop": 50.0,
        "export.max_difference": 1.0,  # logits of wrong inputs are large
    }
    made = Build(load_config(BuildConfig, None, options), Silent())
    return made.lasting_report.load()  # nothing here is about time
