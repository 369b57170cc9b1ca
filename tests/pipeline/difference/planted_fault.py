"""A network with one fault that shows in its logits."""

import numpy as np
import onnx

from benchmarks.planted.planters import PLANTERS
from pipeline.difference.decibels import ratio_db
from pipeline.difference.side import graph_logits
from tests.pipeline.difference.small_pair import Pair


def planted(model: onnx.ModelProto, fault: str, pair: Pair) -> tuple[onnx.ModelProto, str]:
    """Return a copy with the fault, at the first place drawn where it moves the logits."""
    rng = np.random.default_rng(0)
    sound = graph_logits(model, pair.pictures)
    for _ in range(40):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        place = PLANTERS[fault][1](changed, rng)
        if place is not None and ratio_db(sound, graph_logits(changed, pair.pictures)) < 35:
            return changed, place
    raise AssertionError("no place, or the fault never shows")


def planted_at(place: str, model: onnx.ModelProto, fault: str) -> onnx.ModelProto:
    """Return a copy with the fault at a place."""
    for seed in range(100):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        if PLANTERS[fault][1](changed, np.random.default_rng(seed)) == place:
            return changed
    raise AssertionError(f"{fault} is never planted at {place}")
