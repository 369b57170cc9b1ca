"""An engine whose logits are not numbers is right about nothing, and agrees with nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from targets.runtime.tensorrt import candidate_accuracy
from targets.runtime.tensorrt.engine import FP16, INT8

LOGITS = np.eye(4, dtype=np.float32)


def test_logits_that_are_no_numbers_agree_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = LOGITS.copy()
    broken[LOGITS == 1] = np.nan  # NumPy's largest of these is the right class
    answers = {FP16: LOGITS, INT8: broken}

    @contextmanager
    def opened(plan: Path, *_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(infer=lambda _: answers[plan.name])

    monkeypatch.setattr(candidate_accuracy, "open_plan", opened)
    images = np.zeros((4, 1, 1, 3), np.uint8)
    evaluation = candidate_accuracy.Evaluation(images, np.arange(4), LOGITS)
    plans = {name: Path(name) for name in answers}
    found = candidate_accuracy.compare(None, None, plans, evaluation, 1.0, lambda _: None)  # type: ignore[arg-type] # no GPU
    assert [found["accuracy"][name]["agreement"] for name in (FP16, INT8)] == [1, 0]
    assert [found["accuracy"][name]["top1"] for name in (FP16, INT8)] == [1, 0]
    assert found["accuracy"][INT8]["not_finite"] == 4
