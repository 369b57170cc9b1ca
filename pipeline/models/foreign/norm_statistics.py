"""Which normalisation a network was trained with, from the statistics in its batch norms.

A batch norm holds the mean and variance that its input had in training. With the right normalisation, images
give the same statistics again; with another one they do not. No labels are needed. Exporters often fold norms
into convolutions; then there is nothing to compare with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.normal_form.read_normal import read_normal
from pipeline.models.foreign.original import refusals
from pipeline.models.input_form import InputForm

NORMS = 4
"""How many norms are compared, from the input on: later ones depend less on the normalisation."""
FEWEST_PICTURES = 8
"""With fewer, the images' own brightness and contrast differ as much as normalisations do."""
RESAMPLES = 1000
SUPPORT = 0.99
"""Share of draws in which a form has to be the nearest."""
SAME = 1e-9
"""Nats: distances no further apart are equal but for rounding."""
CHANCE = 0.8
"""The probability with which the stated number of pictures decides."""
CLOSE = 0.25
"""In nats: with 40 images the right normalisation had 0.01 or less, wrong ones 0.3 or more."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """How far the inputs of norms are from the statistics in the norms, for each form."""

    distances: tuple[float, ...]
    """One per form, in nats: the divergence of normal distributions, mean over channels."""
    support: tuple[float, ...]
    """The share of bootstrap samples in which each form is the nearest."""
    pictures: int
    rival: int
    """The place of the form that is hardest to tell from the nearest."""
    needed: int | None
    """About how many such pictures distinguish the two; None if they show no difference at all."""

    @property
    def nearest(self) -> int:
        """Return the index of the nearest form."""
        return int(np.argmin(self.distances))

    @property
    def clear(self) -> bool:
        """Whether the nearest form is near enough, and nearest in 99 % of samples of enough images."""
        nearest = self.nearest
        return (
            self.pictures >= FEWEST_PICTURES
            and self.needed is not None  # as near as another: gray pictures are the same in RGB and BGR
            and self.distances[nearest] < CLOSE
            and self.support[nearest] >= SUPPORT
        )


def weigh(
    model: ForeignModel, forms: Sequence[InputForm], pictures: Sequence[NDArray[np.uint8]]
) -> Evidence | None:
    """Compare forms on preprocessed pictures uint8 [H, W, C]; None where the graph has no norms left.

    A bootstrap over images shows how much the answer depends on their choice (Efron 1979).
    """
    probe = _Probe(model)
    if not probe.norms:
        return None
    moments = np.stack([[probe.moments(form, picture) for picture in pictures] for form in forms])
    remembered = np.stack(probe.remembered())
    every = np.full((1, len(pictures)), 1 / len(pictures))
    draws = np.random.default_rng(0).multinomial(len(pictures), every[0], RESAMPLES) / len(pictures)
    distances = np.stack([_distance(one, remembered, every)[0] for one in moments])
    drawn = np.stack([_distance(one, remembered, draws) for one in moments])  # [form, draw]
    support = np.bincount(drawn.argmin(0), minlength=len(forms)) / RESAMPLES
    needed = _needed(distances, drawn, len(pictures))
    rival = max(needed, key=lambda place: needed[place])
    number = None if math.isinf(needed[rival]) else max(FEWEST_PICTURES, math.ceil(needed[rival]))
    return Evidence(tuple(distances.tolist()), tuple(support.tolist()), len(pictures), rival, number)


def _needed(distances: Values, drawn: Values, pictures: int) -> dict[int, float]:
    """Return, for each other form, how many pictures would tell it from the nearest; inf if none can.

    `distances` [form] are those of all pictures, `drawn` [form, draw] of draws of so many. The difference of
    two distances has a standard deviation, estimated from the draws, that falls with the square root of the
    number of pictures. The number returned makes the difference as large as the sum of the normal quantiles
    of SUPPORT and CHANCE, in standard deviations: SUPPORT's for the draws, CHANCE's for the sample itself.
    """
    nearest, normal = int(distances.argmin()), NormalDist()
    wanted = normal.inv_cdf(SUPPORT) + normal.inv_cdf(CHANCE)
    found = {}
    for place in range(len(distances)):
        if place != nearest:
            farther = float(distances[place] - distances[nearest])
            spread = float((drawn[place] - drawn[nearest]).std())
            found[place] = pictures * (wanted * spread / farther) ** 2 if farther > SAME else math.inf
    return found


def _distance(moments: Values, remembered: Values, weights: Values) -> Values:
    """Return KL(pictures || remembered) for each row of weights [draw, picture], mean over channels.

    `moments` [picture, 2, channel] are means and mean squares, `remembered` [2, channel] mean and variance.
    """
    mean, square = (weights @ moments[:, kind] for kind in (0, 1))
    expected, spread = remembered
    variance = np.maximum(square - mean**2, 0) + 1e-6 * spread
    return np.asarray(
        0.5 * ((variance + (mean - expected) ** 2) / spread - 1 - np.log(variance / spread)).mean(1)
    )


class _Probe:
    """The network up to its first norms, with their inputs as outputs."""

    def __init__(self, model: ForeignModel) -> None:
        import onnxruntime

        self._model = model
        graph_model = read_normal(model.path)
        graph = graph_model.graph
        weights = {one.name: one for one in graph.initializer}
        found = [
            node
            for node in graph.node
            if node.op_type == "BatchNormalization" and {node.input[3], node.input[4]} <= weights.keys()
        ]
        self.norms = found[:NORMS]
        self._weights = {
            name: numpy_helper.to_array(weights[name]) for n in self.norms for name in n.input[3:]
        }
        if not self.norms:
            return
        self._names = list(dict.fromkeys(node.input[0] for node in self.norms))
        del graph.output[:]
        graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in self._names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised
        options.intra_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with refusals(model.path):
            self._session = onnxruntime.InferenceSession(
                graph_model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )

    def remembered(self) -> tuple[Values, Values]:
        """Return the means and variances of all channels, float64 [channel]."""
        means = [self._weights[node.input[3]].astype(np.float64) for node in self.norms]
        variances = [
            self._weights[node.input[4]].astype(np.float64) + float(attribute(node, "epsilon", 1e-5))
            for node in self.norms
        ]
        return np.concatenate(means), np.concatenate(variances)

    def moments(self, form: InputForm, picture: NDArray[np.uint8]) -> Values:
        """Return the mean and mean square of each channel for one picture, float64 [2, channel]."""
        described = replace(self._model, mean=form.mean, std=form.std, colors=form.colors)
        (source,) = self._session.get_inputs()
        fed = described.normalised(picture)
        if isinstance(source.shape[0], int) and source.shape[0] > 1:
            fed = np.repeat(fed, source.shape[0], axis=0)
        with refusals(self._model.path):
            outputs = dict(zip(self._names, self._session.run(self._names, {source.name: fed}), strict=True))
        values = [outputs[node.input[0]].astype(np.float64)[0] for node in self.norms]
        flat = [one.reshape(len(one), -1) for one in values]
        return np.stack([np.concatenate([(one**power).mean(1) for one in flat]) for power in (1, 2)])
