"""All targets by name, and what is asked of them by what a bundle says."""

from targets.base import EngineKind
from targets.registry import TARGETS, kind_of_engine


def test_targets_with_one_runner_have_engines_of_one_kind() -> None:
    targets = [make() for make in TARGETS.values()]
    assert {target.name: kind_of_engine(target.runner) for target in targets} == {
        target.name: target.engine_kind for target in targets
    }


def test_the_engine_of_an_unknown_runner_is_taken_to_its_device() -> None:
    assert kind_of_engine("a_runner_of_another_edgec") is EngineKind.OF_ONE_DEVICE
