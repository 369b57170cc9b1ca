"""How often a network is expected to keep its class when noise is added to its logits."""

import torch
from torch import Tensor


def expected_agreement(logits: Tensor, noise: float) -> float:
    """Return the expected share of images, or pixels, whose largest logit stays the largest, in [0, 1].

    `logits` float32 [N, classes, ...]; `noise`: the sum of the squares of an image's errors, of which each
    logit has an equal, independent, normal part. The two largest logits are then exchanged with probability
    Phi(-margin / sigma), sigma^2 twice the variance of one; a third one is rarely near. With fewer than two
    classes there is nothing to keep: 0.
    """
    if logits.shape[1] < 2:
        return 0.0
    first, second = logits.topk(2, dim=1).values.unbind(1)
    sigma = (2 * noise / logits[0].numel()) ** 0.5
    return float(torch.special.ndtr((first - second) / max(sigma, 1e-30)).mean())
