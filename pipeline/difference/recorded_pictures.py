"""Whether logits that were recorded elsewhere come from the same pictures, prepared in another way.

Recorded logits have no tensors to look into. So the network on the other side is given the pictures as other
programs would prepare them: another resize filter or crop, BGR, video levels, EXIF's orientation ignored,
another mean and std. What brings its logits close to the recorded ones is what the recording program does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.difference.decibels import ARITHMETIC_DB, ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.picture_preparation import own_form
from pipeline.difference.picture_source import FEW, PictureSource
from pipeline.difference.real_graph import read_real_graph
from pipeline.difference.resize_filter import FILTERS, OtherResize
from pipeline.difference.side import Array, Pictures, Side, graph_logits
from pipeline.models.input_form import InputForm, usual_fits, usual_forms
from targets.runtime.preprocess import Preprocessing

FOUND_DB, GAIN_DB = 20.0, 6.0
"""What explains the recorded logits brings them so close, and each step so much closer."""
ALIKE_DB = 1.0
"""Preparations closer to each other than this cannot be told apart."""
PixelChange = Callable[[Pictures], Pictures]


@dataclass(frozen=True)
class Prepared:
    """One way to prepare the pictures."""

    preprocessing: Preprocessing
    ignores_exif: bool = False
    pixels: PixelChange | None = None
    form: InputForm | None = None
    """Another mean and std than the network's own."""


@dataclass(frozen=True)
class PreparationStep:
    """A change of the preparation: what it is a kind of, and in words."""

    subject: str
    kind: FaultKind
    words: str
    remedy: str
    changed: Prepared


@dataclass(frozen=True)
class RecordedSearch:
    """A network, pictures, and the logits [N, classes] that another program recorded of them."""

    side: Side
    source: PictureSource
    recorded: Array

    def explained(self) -> tuple[Discrepancy, ...]:
        """Return what the recording program does to its pictures; empty if no usual way explains it.

        The best change is taken, then the best one on top of it, each on another subject.
        """
        now = Prepared(self.source.used)
        here, found, subjects = self._agreement(now), list[Discrepancy](), set[str]()
        while here < ARITHMETIC_DB:
            steps = [one for one in self._steps(now) if one.subject not in subjects]
            tried = [(self._agreement(one.changed), one) for one in steps]
            best = max((after for after, _ in tried), default=-np.inf)
            if best < here + GAIN_DB:
                break
            equal = [one for after, one in tried if after > best - ALIKE_DB]
            step = max(tried, key=lambda pair: pair[0])[1]
            found.append(_finding(step, equal, here, best))
            now, here = step.changed, best
            subjects.add(step.subject)
        return tuple(found) if here >= FOUND_DB else ()

    def _agreement(self, way: Prepared) -> float:
        found = self._logits(way)
        wanted = self.recorded[: len(found)]
        if _are_shares(wanted):
            return ratio_db(_log_shares(wanted), _log_shares(_softmax(found)))
        return ratio_db(wanted, found)

    def _logits(self, way: Prepared) -> Array:
        pictures = self.source.unturned(way.preprocessing) if way.ignores_exif else None
        if pictures is None:
            pictures = self.source.pictures(way.preprocessing, FEW)
        if way.pixels is not None:
            pictures = np.ascontiguousarray(way.pixels(pictures))
        own = None if way.form is None else own_form(self.side)
        if way.form is None or own is None or self.side.graph is None:
            found = self.side.logits(pictures)
        else:
            found = graph_logits(_normalised(self.side.graph, own, way.form), pictures)
        return found.reshape(len(found), -1)

    def _steps(self, now: Prepared) -> Iterator[PreparationStep]:
        yield from _resizes(now, self.source.used)
        if self.source.unturned(now.preprocessing) is not None:
            yield PreparationStep(
                "orientation",
                FaultKind.PICTURE_GEOMETRY,
                "not turned as their EXIF orientation says",
                "Apply the EXIF orientation where pictures are decoded.",
                replace(now, ignores_exif=True),
            )
        if now.pixels is None:
            yield from _pixel_changes(now)
        own = own_form(self.side)
        for form in () if own is None else usual_forms(len(own.mean)):
            if (form.mean, form.std) != (own.mean, own.std):  # type: ignore[union-attr]
                words = f"with mean {_few(form.mean)} and std {_few(form.std)} of pixels from 0 to 1"
                remedy = "Use the mean and std that the network was trained with in both."
                yield PreparationStep(
                    "normalisation", FaultKind.NORMALISATION, words, remedy, replace(now, form=form)
                )


def _resizes(now: Prepared, used: Preprocessing) -> Iterator[PreparationStep]:
    kind = FaultKind.PICTURE_GEOMETRY
    fits = [("", used, ()), *((fit.name, fit.preprocessing, fit.lines) for fit in usual_fits(used))]
    for name, preprocessing, lines in fits:
        if name:
            remedy = f"Prepare them alike: edgec does this with {', '.join(lines)}."
            yield PreparationStep("resize", kind, name, remedy, replace(now, preprocessing=preprocessing))
        for one in FILTERS:
            words = ", ".join(filter(None, (name, f"resized by {one.name}")))
            remedy = (
                "Resize alike in both programs. edgec's own, averages of whole blocks and then bilinear, is"
                " targets/runtime/resize.py of every bundle."
            )
            fields = {field: getattr(preprocessing, field) for field in preprocessing.__dataclass_fields__}
            other = OtherResize(**fields, filter=one)
            yield PreparationStep("resize", kind, words, remedy, replace(now, preprocessing=other))


def _pixel_changes(now: Prepared) -> Iterator[PreparationStep]:
    turned = "Use the same orientation in both."
    changes: list[tuple[str, FaultKind, str, str, PixelChange]] = [
        ("pixels", FaultKind.PICTURE_GEOMETRY, "mirrored", turned, lambda p: p[:, :, ::-1]),
        ("pixels", FaultKind.PICTURE_GEOMETRY, "upside down", turned, lambda p: p[:, ::-1]),
        ("pixels", FaultKind.PICTURE_GEOMETRY, "turned by 180 degrees", turned, lambda p: p[:, ::-1, ::-1]),
        (
            "pixels",
            FaultKind.NORMALISATION,
            "inverted, white for black",
            "Invert in both or none.",
            _inverted,
        ),
        ("pixels", FaultKind.NORMALISATION, "with video levels, 16 to 235", "Expand the levels.", _video),
    ]
    if now.preprocessing.channels == 3:
        words, remedy = "as BGR", "Give both programs RGB."
        changes.append(("pixels", FaultKind.PICTURE_COLOURS, words, remedy, lambda p: p[..., ::-1]))
        gray = "as gray in three channels"
        changes.append(("pixels", FaultKind.PICTURE_COLOURS, gray, "Decode pictures in colour.", _gray))
    if now.preprocessing.height == now.preprocessing.width:
        for times in (1, 3):
            words = f"turned by {90 * times} degrees"
            change = _turned(times)
            changes.append(("pixels", FaultKind.PICTURE_GEOMETRY, words, turned, change))
    for subject, kind, words, remedy, change in changes:
        yield PreparationStep(subject, kind, words, remedy, replace(now, pixels=change))


def _turned(times: int) -> PixelChange:
    return lambda pictures: np.rot90(pictures, times, (1, 2))


def _inverted(pictures: Pictures) -> Pictures:
    return 255 - pictures


def _video(pictures: Pictures) -> Pictures:
    return np.round(pictures * (219 / 255) + 16).astype(np.uint8)


def _gray(pictures: Pictures) -> Pictures:
    level = np.round(pictures @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=3)


def _normalised(model: onnx.ModelProto, own: InputForm, form: InputForm) -> onnx.ModelProto:
    """Return a network that takes its pictures in another form: scaled and shifted at the first layer."""
    first = next(node for node in read_real_graph(model).nodes if node.operator == "Conv")
    tensor = first.inputs[0]
    std = np.asarray(form.std)
    factor = np.asarray(own.std) / std
    shift = (np.asarray(own.mean) - np.asarray(form.mean)) / std
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for node in changed.graph.node:
        for at, name in enumerate(node.input):
            if name == tensor:
                node.input[at] = f"{tensor}/other"
    names = f"{tensor}/factor", f"{tensor}/shift"
    for name, values in zip(names, (factor, shift), strict=True):
        constant = values.astype(np.float32).reshape(1, -1, 1, 1)
        changed.graph.initializer.append(numpy_helper.from_array(constant, name))
    at = 1 + next(i for i, node in enumerate(changed.graph.node) if tensor in node.output)
    changed.graph.node.insert(
        at, helper.make_node("Add", [f"{tensor}/scaled", names[1]], [f"{tensor}/other"])
    )
    changed.graph.node.insert(at, helper.make_node("Mul", [tensor, names[0]], [f"{tensor}/scaled"]))
    return changed


def _finding(step: PreparationStep, equal: list[PreparationStep], before: float, after: float) -> Discrepancy:
    others = [one.words for one in equal if one.words != step.words]
    words = f"the logits were recorded of pictures {step.words}"
    if others:
        words += f"; as close are pictures {', or '.join(others[:3])}"
    return Discrepancy(step.kind, "image", words, before, after, step.remedy)


def _are_shares(values: Array) -> bool:
    return bool((values >= 0).all() and np.allclose(values.sum(1), 1, atol=1e-3))


def _softmax(logits: Array) -> Array:
    power = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(power / power.sum(1, keepdims=True))


def _log_shares(shares: Array) -> Array:
    logs = np.log(np.maximum(shares, 1e-9))
    return np.asarray(logs - logs.mean(1, keepdims=True))


def _few(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:.3g}' for value in values)})"
