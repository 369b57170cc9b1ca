"""Whether the GPU reads pixels where they are: engines and times are made up here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from targets.runtime.measure import Settings
from targets.runtime.tensorrt import shared_memory
from targets.runtime.tensorrt.shared_memory import reads_in_place


@pytest.mark.parametrize(
    ("integrated", "same_logits", "copied_ns", "in_place_ns", "expected"),
    [
        (True, True, 2000, 1000, True),
        (False, True, 2000, 1000, False),  # memory of its own, reached over a bus
        (True, False, 2000, 1000, False),
        (True, True, 1000, 2000, False),
        (True, True, 1000, 1000, False),  # not shown to be faster
    ],
)
def test_pixels_stay_where_that_is_faster_and_the_same(
    monkeypatch: pytest.MonkeyPatch,
    integrated: bool,
    same_logits: bool,
    copied_ns: int,
    in_place_ns: int,
    expected: bool,
) -> None:
    @contextmanager
    def opened(*asked: object) -> Iterator[Any]:
        in_place = bool(asked[3])
        logits = np.full((1, 3), float(in_place and not same_logits), np.float32)
        yield SimpleNamespace(infer=lambda _: logits)

    def measured(_: object, settings: Settings) -> list[Any]:
        return [SimpleNamespace(runs_ns=[ns] * settings.min_runs) for ns in (copied_ns, in_place_ns)]

    monkeypatch.setattr(shared_memory, "open_plan", opened)
    monkeypatch.setattr(shared_memory, "measure", measured)
    cuda: Any = SimpleNamespace(is_integrated=lambda: integrated)
    turns = [np.zeros((1, 2, 2, 3), np.uint8)]
    found = reads_in_place(None, cuda, Path("int8.plan"), turns, Settings(min_runs=40), lambda _: None)
    assert found is expected
