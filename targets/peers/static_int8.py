"""onnxruntime's own static quantisation, which is usual for CPUs."""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.peers.prepared_input import PreparedNetwork

SETTINGS = "quantize_static: Q/DQ, uint8 activations, int8 weights, a scale a channel, MinMax"


def quantize_static(network: PreparedNetwork, images: Iterable[NDArray[np.uint8]], file: Path) -> None:
    """Quantise a float network as onnxruntime's documentation recommends for CPUs, and write `file`.

    images: batches of pixels [N, H, W, C]. Raises EngineError where onnxruntime cannot.
    """
    from onnxruntime import quantization, set_default_logger_severity
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class QuantiserInputs(quantization.CalibrationDataReader):  # type: ignore[misc] # the package has no types
        def __init__(self) -> None:
            self._inputs = _inputs(network, images)

        def get_next(self) -> dict[str, NDArray[np.generic]] | None:
            return next(self._inputs, None)

    set_default_logger_severity(4)  # of sessions that it opens itself: a line has names of the file, raw
    with tempfile.TemporaryDirectory(prefix="edgec-peer-") as scratch, _quiet():
        prepared = Path(scratch) / "prepared.onnx"
        try:
            quant_pre_process(str(network.file), str(prepared), skip_symbolic_shape=True)
            quantization.quantize_static(
                str(prepared),
                str(file),
                QuantiserInputs(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except (
            Exception
        ) as error:  # whatever it raises: a build must not stop because this comparison is missing
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise EngineError(f"onnxruntime's quantize_static refuses the network: {reason}") from error


def _inputs(
    network: PreparedNetwork, images: Iterable[NDArray[np.uint8]]
) -> Iterator[dict[str, NDArray[np.generic]]]:
    for batch in images:
        for n in range(len(batch)):
            yield {"image": network.prepared(batch[n : n + 1], floats=True)}


class _quiet:  # noqa: N801 - a context manager
    """Silences onnxruntime's advice on its own pre-processing."""

    def __enter__(self) -> None:
        logging.disable(logging.WARNING)

    def __exit__(self, *_: Any) -> None:  # noqa: ANN401 - an exception, or none
        logging.disable(logging.NOTSET)
