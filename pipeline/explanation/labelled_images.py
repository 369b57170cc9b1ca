"""Labelled images of the two classes, never evaluation images: the nearest ones, and usual margins."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset
from pipeline.data.split import Role, Split
from pipeline.difference.real_graph import LAYERS, RealGraph
from pipeline.explanation.contest import ClassContest, margins
from pipeline.report.model.image_explanation import NearImage, UsualMargins
from pipeline.report.thumbnails import png_base64, shrink
from targets.runtime.preprocess import Preprocessing

Array = NDArray[Any]
USUAL = 95
"""The percentile up to which a change is usual."""
SHOWN, COUNTED = 4, 10
"""Nearest images of each class that are shown, and of both that are counted."""
BATCH = 32


@dataclass(frozen=True)
class LabelledPool:
    """Images uint8 [N, H, W, C] of two classes, with labels [N] and names."""

    pixels: Array
    labels: Array
    names: tuple[str, ...]


def labelled_pool(
    dataset: Dataset, contest: ClassContest, count: int, preprocessing: Preprocessing, asked: Array
) -> LabelledPool | None:
    """Return up to `count` training images of the two classes, without the picture asked about.

    Calibration images where there are no training images; None if there are neither.
    """
    roles: tuple[Role, ...] = ("train", "calibration")
    role = next((role for role in roles if dataset.has(role)), None)
    if role is None:
        return None
    pixels, labels, names = [], [], []
    for batch in _of_both(dataset.split(role), contest, count).readable(preprocessing, BATCH):
        for image, label, sample in zip(batch.images, batch.labels.tolist(), batch.samples, strict=True):
            if not np.array_equal(image, asked):
                pixels.append(image)
                labels.append(label)
                names.append(sample.name)
    return LabelledPool(np.stack(pixels), np.array(labels), tuple(names)) if pixels else None


def _of_both(split: Split, contest: ClassContest, count: int) -> Split:
    """Return `count` / 2 images of each class, evenly spread over the split."""
    chosen: list[int] = []
    for label in (contest.first, contest.second):
        there = np.flatnonzero(split.labels == label)
        places = np.linspace(0, len(there) - 1, min(len(there), count // 2)).round().astype(int)
        chosen += there[places].tolist()
    return split.subset(sorted(chosen))


def usual_margins(change: float, margin: float, fp32: Array, int8: Array) -> UsualMargins:
    """Compare a picture's margin, and its change from FP32 to INT8, with those of logits [N, classes]."""
    before, after = margins(fp32, int8)
    changes = abs(after - before)
    return UsualMargins(
        images=len(before),
        smaller_share=float((before <= margin).mean()),
        largest_usual_change=float(np.percentile(changes, USUAL)),
        as_changed_share=float((changes >= abs(change)).mean()),
    )


def features_of(graph: RealGraph, pictures: Array) -> Array:
    """Return what the last layer reads, [N, features]; means over pixels where it reads planes."""
    from calibration.exact.session import ALL_CORES, AS_WRITTEN, open_session

    last = next(node for node in reversed(graph.nodes) if node.operator in LAYERS)
    tensor = last.inputs[0]
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    session = open_session(model.SerializeToString(), ALL_CORES, AS_WRITTEN)
    source = session.get_inputs()[0]
    step = source.shape[0] if isinstance(source.shape[0], int) else BATCH
    parts = [
        session.run([tensor], {source.name: pictures[start : start + step]})[0]
        for start in range(0, len(pictures), step)
    ]
    values = np.concatenate(parts).astype(np.float64)
    found: Array = values.reshape(*values.shape[:2], -1).mean(2)
    return found


def near_images(
    pool: LabelledPool, features: Array, asked: Array, contest: ClassContest, classes: tuple[str, ...]
) -> tuple[tuple[NearImage, ...], int, int]:
    """Return the nearest images of both classes by the cosine of features [N, D] and [D], nearest first.

    Also how many of the COUNTED nearest are of the first class, and how many were counted.
    """
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(asked)
    cosines = features @ asked / np.maximum(lengths, 1e-30)
    order = np.argsort(-cosines, kind="stable")
    near: list[NearImage] = []
    for label in (contest.first, contest.second):
        for place in [place for place in order if pool.labels[place] == label][:SHOWN]:
            picture = png_base64(shrink(pool.pixels[place]))
            name = pool.names[place]
            cosine = float(cosines[place])
            near.append(NearImage(name=name, label=classes[label], cosine=cosine, thumbnail_png=picture))
    counted = order[:COUNTED]
    return tuple(near), int((pool.labels[counted] == contest.first).sum()), len(counted)
