"""Copying images to the GPU or letting it read them where they are: which is faster on this device.

On a Jetson, processors and GPU share one memory (an integrated GPU), so bytes that are copied could as well
have stayed where they were. Source: CUDA for Tegra, "Memory Management".
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Callable, Sequence

import numpy as np

from ..measure import Settings, measure
from ..quantile import quantile
from .runner import open_plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .cuda import Cuda

Say = Callable[[str], None]


def reads_in_place(
    trt: Any, cuda: Cuda, plan: Path, turns: Sequence[NDArray[np.uint8]], settings: Settings, say: Say
) -> bool:
    """Return whether the GPU shall read `turns` (batches uint8 [N, H, W, C]) where they are.

    So it is where the GPU is integrated, the logits are the same, and the median is shown to be lower.
    """
    if not cuda.is_integrated():
        return False
    with ExitStack() as opened:
        copying, in_place = (
            opened.enter_context(open_plan(plan, trt, cuda, in_place)) for in_place in (False, True)
        )
        if not np.array_equal(copying.infer(turns[0]), in_place.infer(turns[0])):
            say("pixels are copied to the GPU: read where they are, they give other logits here")
            return False
        calls = [lambda: copying.infer(turns[0]), lambda: in_place.infer(turns[0])]
        copied, shared = (quantile(np.array(one.runs_ns), 0.5) for one in measure(calls, settings))
    faster = shared.high is not None and shared.high < copied.low
    what = "the GPU reads pixels where they are" if faster else "pixels are copied to the GPU"
    say(f"{what}: p50 {shared.value / 1e6:.3f} ms in place, {copied.value / 1e6:.3f} ms with copies")
    return faster
