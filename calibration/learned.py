"""Learned rounding: train integers, biases and activation scales to follow the float network.

No labels are needed. The loss compares the two networks' logits and the activations between their blocks,
each as squared error over squared signal, on calibration images and their mirror images. Gradients pass
rounding by the straight-through estimator; a weight may move one step from its start. This is AdaRound's aim
(Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020) with the
optimisation of AdaQuant (Hubara et al., "Accurate Post Training Quantization With Small Calibration Sets",
ICML 2021), over the network instead of layer by layer, and with activation scales learned as in LSQ (Esser et
al., "Learned Step Size Quantization", ICLR 2020).
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.errors import ImagesError
from calibration.fake_quant import FakeQuantized, Rates
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters
from calibration.placement import Placement
from calibration.replay import Replay

BATCH = 32
LEARN_EPOCHS = 12
LEARN_FROM = 1024
"""The most images to learn from; they are held in memory."""
RATES = Rates()


def learn(
    graph: OnnxGraph,
    placement: Placement,
    start: Parameters,
    images: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> Parameters:
    """Return `start` improved on the first LEARN_FROM of `images`, which are held in memory as uint8.

    Reports each batch's size to `on_batch`, LEARN_EPOCHS times over. Raises ImagesError for no images and
    ModelError for operators that `replay` does not know.
    """
    held = _first(images, LEARN_FROM)
    teacher, student = Replay(graph), FakeQuantized(graph, placement, start)
    rng = np.random.default_rng(0)
    groups = student.groups(RATES)
    optimizer = torch.optim.Adam(groups)
    rates = [group["lr"] for group in groups]
    steps, step = LEARN_EPOCHS * -(-len(held) // BATCH), 0
    for _ in range(LEARN_EPOCHS):
        order = rng.permutation(len(held))
        for at in range(0, len(held), BATCH):
            batch = held[order[at : at + BATCH]]
            batch = batch[:, :, ::-1] if rng.random() < 0.5 else batch
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            loss = _loss(teacher, student, placement, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1
            on_batch(len(batch))
    return student.found()


def _first(images: Iterable[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    held: list[NDArray[np.uint8]] = []
    for batch in images:
        held.append(batch[: count - sum(map(len, held))])
    if not sum(map(len, held)):
        raise ImagesError("The recipe needs calibration images to learn from, and there are none.")
    return np.concatenate(held)


def _loss(teacher: Replay, student: FakeQuantized, placement: Placement, images: NDArray[np.uint8]) -> Tensor:
    """Squared error over squared signal: of the logits, and the mean over the observed tensors."""
    with torch.no_grad():
        wanted, signals = teacher.run(images, placement.observed)
    found, copies = student.run(images)
    inside = [_relative(signals[name], copies[name]) for name in copies]
    return _relative(wanted, found) + sum(inside, torch.zeros(())) / max(1, len(inside))


def _relative(wanted: Tensor, found: Tensor) -> Tensor:
    return (wanted - found).square().sum() / wanted.square().sum().clamp_min(1e-12)
