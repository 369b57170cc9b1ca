"""Opens sessions of quantised graphs with the fastest settings for which the canary's results are correct."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .canary import canary
from .canary_layer import ACTIVATIONS

# Disables telemetry: since 1.29, onnxruntime reports sessions and models, unless set before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    import onnxruntime

QUANTISED = (b"uantizeLinear", b"QLinear", b"ConvInteger", b"MatMulInteger", b"QGemm", b"QAttention")
"""Parts of operator names of which every quantised graph has one: Quantize-, Dequantize-, ..."""


class NotExactError(ValueError):
    """onnxruntime computes quantised graphs wrongly on this processor with all settings that edgec knows."""


@dataclass(frozen=True)
class SessionSettings:
    """How onnxruntime runs a quantised graph. `level` is the name of a GraphOptimizationLevel."""

    words: str
    level: str
    precise: bool = False

    def options(self, threads: int) -> onnxruntime.SessionOptions:
        """Return the session's options; `threads` threads run an operator, 0 as many as there are cores."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, self.level)
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = (
            4  # errors are raised; a line of the log has a file's names raw, and colours
        )
        if self.precise:
            options.add_session_config_entry("session.x64quantprecision", "1")
        return options


LADDER = (
    SessionSettings("all optimisations", "ORT_ENABLE_ALL"),
    SessionSettings("all optimisations, session.x64quantprecision=1", "ORT_ENABLE_ALL", precise=True),
    SessionSettings("basic optimisations: quantised layers computed in float", "ORT_ENABLE_BASIC"),
    SessionSettings("no optimisation: quantised layers computed in float", "ORT_DISABLE_ALL"),
)
"""The fastest first. The last two multiply in float32, where these sums are exact up to 2^24."""
BASIC, AS_WRITTEN = LADDER[-2:]
"""The latter has no fusion: every operator separately, in the order of the file."""
ALL_CORES = 0
"""onnxruntime's value for as many threads as cores."""


def open_session(
    source: str | Path | bytes, threads: int = 1, settings: SessionSettings | None = None
) -> onnxruntime.InferenceSession:
    """Open a model from its path or bytes: a quantised one with exact settings, a float one with defaults.

    A quantised one that onnxruntime cannot open with the fastest exact settings runs as written: its
    x64quantprecision fails for layers that share a zero point, and for QGemm of int8.
    A float one runs with basic optimisations where its fusions take an output out of the graph.
    `settings`, if given, are used without a test. Raises NotExactError if no settings are exact here,
    and onnxruntime's exceptions for what it refuses.
    """
    if settings is not None:
        return _opened(source, threads, settings)
    if not is_quantised(source):
        return _opened_in_float(source, threads)
    exact = exact_settings(threads)
    try:
        return _opened(source, threads, exact)
    except Exception as error:
        if exact is AS_WRITTEN or not is_from_onnxruntime(error) or wrong_layers(AS_WRITTEN, threads):
            raise
        return _opened(source, threads, AS_WRITTEN)


def _opened_in_float(source: str | Path | bytes, threads: int) -> onnxruntime.InferenceSession:
    try:
        return _opened(source, threads, LADDER[0])
    except RuntimeError:  # not one of its own: a convolution that is added was an output, and was fused
        return _opened(source, threads, BASIC)


def _opened(
    source: str | Path | bytes, threads: int, settings: SessionSettings
) -> onnxruntime.InferenceSession:
    import onnxruntime

    given = source if isinstance(source, bytes) else str(source)
    return onnxruntime.InferenceSession(
        given,
        settings.options(threads),
        providers=["CPUExecutionProvider"],
        enable_fallback=False,  # which prints, and tries the same again
    )


def is_from_onnxruntime(error: Exception) -> bool:
    """Return whether onnxruntime raised an exception; those it raises have no public base class."""
    return type(error).__module__.startswith("onnxruntime")


def is_quantised(source: str | Path | bytes) -> bool:
    """Whether a model has quantised operators; files are searched for their names."""
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    return any(name in content for name in QUANTISED)


@lru_cache(maxsize=None)
def exact_settings(threads: int = 1) -> SessionSettings:
    """Return the first of LADDER that is exact on this processor. Raises NotExactError if none is."""
    import onnxruntime

    wrong: list[str] = []
    for settings in LADDER:
        wrong = wrong_layers(settings, threads)
        if not wrong:
            return settings
    raise NotExactError(
        f"onnxruntime {onnxruntime.__version__} computes quantised layers wrongly on this processor, with"
        f" and without optimisation ({', '.join(wrong)}). Use another version of onnxruntime."
    )


def wrong_layers(settings: SessionSettings, threads: int) -> list[str]:
    """Return the layers of the canary that are wrong with given settings, each with its activation."""
    wrong = []
    for activation in ACTIVATIONS:
        bird = canary(activation)
        session = open_session(bird.model(), threads, settings)
        answers = session.run([layer.name for layer in bird.layers], bird.feed())
        wrong += [f"{name} of {activation.element} around {activation.zero}" for name in bird.wrong(answers)]
    return wrong
