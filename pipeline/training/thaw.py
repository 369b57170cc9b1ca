"""Gradual unfreezing: the head is trained first, then the stages join in, from the last to the stem.

Early stages extract features that most images share, and need the least change (Yosinski et al. 2014, "How
transferable are features in deep neural networks?"; Howard and Ruder 2018, "gradual unfreezing").
"""

import math

from torch import nn

from pipeline.models.resnet import classifier


def thawed(network: nn.Module, epoch: int, epochs: int, share: float) -> int:
    """Unfreeze the stages that are trained in `epoch` of `epochs`, and return their number.

    Over the first `share` of the epochs they are unfrozen one by one. A frozen stage has no gradients, and
    its norms keep their statistics.
    """
    stages = stages_from_the_head(network)
    through = (epoch - 1) / (share * epochs) if share else 1.0
    count = min(len(stages), 1 + math.floor(through * (len(stages) - 1) + 1e-9))
    for number, stage in enumerate(stages):
        for module in stage:
            module.train(number < count)
            module.requires_grad_(number < count)
    return count


def stages_from_the_head(network: nn.Module) -> list[list[nn.Module]]:
    """Return the network's parts: the classifier, the stages from the last to the first, the stem.

    A norm outside the stages belongs to the stem, or in a pre-activation network to the head.
    """
    head = classifier(network)
    stages: list[nn.Module] = [part for part in network.children() if isinstance(part, nn.Sequential)]
    others = [part for part in network.children() if part is not head and part not in stages]
    last = [part for part in others if isinstance(part, nn.BatchNorm2d)]
    if getattr(network, "preactivation", False):
        return [[head, *last], *([s] for s in reversed(stages)), [p for p in others if p not in last]]
    return [[head], *([stage] for stage in reversed(stages)), others]
