"""Every stage's key depends on source files that are there."""

import pkgutil
from importlib import import_module

import pytest

import pipeline.stages
from pipeline.cache.stage import ROOT, Stage

for module in pkgutil.iter_modules(pipeline.stages.__path__):
    import_module(f"pipeline.stages.{module.name}")


OURS = [stage for stage in Stage.__subclasses__() if stage.__module__.startswith("pipeline.")]


@pytest.mark.parametrize("stage", OURS, ids=lambda stage: stage.name)
def test_what_it_names_as_its_code_is_there(stage: type[Stage]) -> None:
    assert all(place.startswith(("pipeline/", "targets", "calibration")) for place in stage.code)
    assert all((ROOT / place).exists() for place in stage.code)
