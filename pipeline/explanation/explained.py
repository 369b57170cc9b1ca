"""Explains a build's answer to one picture, from the picture to a report."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset
from pipeline.data.left_over import filled_up
from pipeline.data.split import Split
from pipeline.difference.compare import NetworkComparison, compare
from pipeline.difference.float_activations import float_activations
from pipeline.difference.side import graph_logits
from pipeline.errors import UsageError
from pipeline.explanation.asked_picture import AskedPicture
from pipeline.explanation.contest import ClassContest, contest_of, probabilities
from pipeline.explanation.labelled_images import (
    LabelledPool,
    features_of,
    labelled_pool,
    near_images,
    usual_margins,
)
from pipeline.explanation.layer_effects import clipped_tensors, layer_effects
from pipeline.explanation.more_bits import (
    float_weights,
    rewritten_float,
    wider_networks,
)
from pipeline.explanation.opened_build import OpenedBuild
from pipeline.explanation.reason import advice_for, cause_of, summary_of
from pipeline.progress import Progress
from pipeline.report.logit_distance import refuse_not_finite
from pipeline.report.model.image_explanation import (
    ClassMargin,
    ImageExplanation,
    NearImage,
    TriedBits,
    UsualMargins,
)
from pipeline.report.thumbnails import png_base64, shrink
from targets.processor import cpu_name

Array = NDArray[Any]
COMPARED_WITH = 7
"""Labelled images whose tensors are looked at beside the picture's."""
BATCH = 16
NO_DATA = (
    "without --data (the images of the build), usual changes, nearest images and 16-bit activations are"
    " left out"
)


@dataclass(frozen=True)
class Wanted:
    """Settings of an explanation. images: of both classes together; tries: calibrate with 16 bits."""

    dataset: Dataset | None
    images: int
    tries: bool


def explain(build: OpenedBuild, asked: AskedPicture, wanted: Wanted, progress: Progress) -> ImageExplanation:
    """Explain why FP32 and INT8 give a picture different classes, or by which margin they agree.

    Raises UsageError for a network that gives no classes of whole pictures, and ReportError for logits that
    are not numbers.
    """
    one = asked.pixels[None]
    fp32, int8 = (graph_logits(model, one) for model in (build.float_model, build.int8_model))
    if fp32.reshape(1, -1).shape[1] != len(build.subject.classes):
        raise UsageError(
            f"{build.folder} gives classes of pixels; a picture is explained by its one class. Compare the"
            f" networks instead: `edgec diff {build.float_path} {build.folder} --image {asked.name}`."
        )
    refuse_not_finite(fp32, int8, [asked.name])
    ours, theirs = fp32.reshape(-1), int8.reshape(-1)
    contest = contest_of(ours, theirs)
    pool = None if wanted.dataset is None else _pool(build, asked, contest, wanted)
    with progress.task("compare layer by layer", None):
        others = [] if pool is None else [_spread(pool.pixels)]
        found = compare(_layers_of(build, wanted, progress), build.int8_model, np.concatenate([one, *others]))
        layers = layer_effects(found, contest)
    usual, near, votes, counted = _among_labelled(build, found, contest, pool, ours, theirs)
    tried, said = _more_bits(build, found, contest, one, wanted, progress)
    flipped = int(theirs.argmax()) != contest.first
    cause = cause_of(flipped, contest.margin(ours), contest.margin(theirs), usual)
    explanation = ImageExplanation(
        image=asked.name,
        build=str(build.folder),
        recipe=build.subject.recipe,
        label=None if asked.label is None else build.subject.classes[asked.label],
        first=build.subject.classes[contest.first],
        second=build.subject.classes[contest.second],
        cause=cause,
        summary="",
        advice="",
        notes=(*asked.notes, *build.notes, *said, *_faults(found, build)),
        fp32=_margin(ours, contest, build),
        int8=_margin(theirs, contest, build),
        usual=usual,
        layers=layers,
        clipped=clipped_tensors(found.sides),
        near=near,
        near_votes=votes,
        near_counted=counted,
        more_bits=tried,
        thumbnail_png=png_base64(shrink(asked.pixels)),
        processor=cpu_name(),
    )
    return explanation.replace(summary=summary_of(explanation), advice=advice_for(explanation))


def _layers_of(build: OpenedBuild, wanted: Wanted, progress: Progress) -> onnx.ModelProto:
    """Return the float network whose layers are those of INT8: as the recipe rewrites it, if it does."""
    images = _calibration(build, wanted.dataset)
    if images is None or images.digest != build.subject.calibration_digest:
        return build.float_model  # other images give other gains
    rewritten = rewritten_float(
        build.float_path, build.subject.recipe, lambda: _batches(images, build), progress
    )
    return build.float_model if rewritten is None else rewritten


def _batches(images: Split, build: OpenedBuild) -> Iterator[NDArray[np.uint8]]:
    return (batch.images for batch in images.batches(build.preprocessing, BATCH))


def _pool(
    build: OpenedBuild, asked: AskedPicture, contest: ClassContest, wanted: Wanted
) -> LabelledPool | None:
    assert wanted.dataset is not None  # noqa: S101 - the caller looked
    if wanted.dataset.classes != build.subject.classes:
        raise UsageError(
            f"{wanted.dataset.location} has {len(wanted.dataset.classes)} classes,"
            f" {', '.join(wanted.dataset.classes[:3])}, ...; the build has {len(build.subject.classes)},"
            f" {', '.join(build.subject.classes[:3])}, .... Give the --data that it was built with."
        )
    return labelled_pool(wanted.dataset, contest, wanted.images, build.preprocessing, asked.pixels)


def _spread(pictures: Array) -> Array:
    chosen: Array = pictures[:: max(1, len(pictures) // COMPARED_WITH)][:COMPARED_WITH]
    return chosen


def _among_labelled(
    build: OpenedBuild,
    found: NetworkComparison,
    contest: ClassContest,
    pool: LabelledPool | None,
    ours: Array,
    theirs: Array,
) -> tuple[UsualMargins | None, tuple[NearImage, ...], int, int]:
    if pool is None:
        return None, (), 0, 0
    size = len(pool.pixels)
    fp32, int8 = (
        graph_logits(model, pool.pixels).reshape(size, -1) for model in (build.float_model, build.int8_model)
    )
    before, after = contest.margin(ours), contest.margin(theirs)
    usual = usual_margins(after - before, before, fp32, int8)
    features = features_of(found.sides.a, np.concatenate([found.pictures[:1], pool.pixels]))
    return usual, *near_images(pool, features[1:], features[0], contest, build.subject.classes)


def _margin(logits: Array, contest: ClassContest, build: OpenedBuild) -> ClassMargin:
    shares = probabilities(logits)
    return ClassMargin(
        answer=build.subject.classes[int(logits.argmax())],
        margin=contest.margin(logits),
        first_probability=float(shares[contest.first]),
        second_probability=float(shares[contest.second]),
    )


def _faults(found: NetworkComparison, build: OpenedBuild) -> tuple[str, ...]:
    notes = []
    if found.rescaled:
        notes.append(
            "the recipe rescales channels by gains that were estimated here: what layers in float give is"
            " approximate"
        )
    if not found.findings:
        return tuple(notes)
    first = found.findings[0]
    return (
        *notes,
        f"more than rounding differs: {first.kind} at {first.place}. `edgec diff {build.float_path}"
        f" {build.folder}` says what removes it",
    )


def _more_bits(
    build: OpenedBuild,
    found: NetworkComparison,
    contest: ClassContest,
    one: Array,
    wanted: Wanted,
    progress: Progress,
) -> tuple[tuple[TriedBits, ...], tuple[str, ...]]:
    """Return what was tried, and what could not be tried, with the reason."""

    def tried(change: str, logits: Array) -> TriedBits:
        answer = build.subject.classes[int(logits.reshape(-1).argmax())]
        return TriedBits(change=change, answer=answer, margin=contest.margin(logits.reshape(-1)))

    without = graph_logits(float_activations(build.int8_model), one)
    rows = [tried("activations in float, weights in 8 bits", without)]
    model, changed, layers = float_weights(found.sides)
    notes = []
    if changed and not found.rescaled:
        words = f"weights in float ({changed} of {layers} layers), activations in 8 bits"
        rows.append(tried(words, graph_logits(model, one)))
    else:
        notes.append("weights in float were not tried: the recipe has rewritten them")
    if wanted.dataset is None:
        return tuple(rows), (*notes, NO_DATA)
    if not wanted.tries:
        return tuple(rows), tuple(notes)
    images = _calibration(build, wanted.dataset)
    if images is None:
        notes.append("16-bit activations were not tried: the build saw no calibration images")
        return tuple(rows), tuple(notes)
    if images.digest != build.subject.calibration_digest:
        notes.append("the calibration images of --data are not those of the build: more than bits may differ")
    path, recipe, count = build.float_path, build.subject.recipe, len(images)
    for words, network in wider_networks(path, recipe, lambda: _batches(images, build), count, progress):
        if network is None:
            notes.append(words.rstrip("."))
        else:
            rows.append(tried(words, graph_logits(network, one)))
    return tuple(rows), tuple(notes)


def _calibration(build: OpenedBuild, dataset: Dataset | None) -> Split | None:
    """Return as many calibration images as the build had, drawn as a build draws them by default."""
    count = build.subject.calibration_images
    if dataset is None or not count or not dataset.has("calibration"):
        return None
    return filled_up(dataset.split("calibration").stratified(count, 0), dataset, count, 0)
