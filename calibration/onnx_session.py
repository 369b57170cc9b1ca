"""Opening models in onnxruntime, quantised ones exactly."""

from pathlib import Path
from typing import TYPE_CHECKING

from calibration.errors import ModelError
from calibration.exact.session import ALL_CORES, AS_WRITTEN, NotExactError, open_session

if TYPE_CHECKING:
    import onnxruntime


def open_model(source: str | Path | bytes, as_written: bool = False) -> "onnxruntime.InferenceSession":
    """Open a float or Q/DQ model from its path or bytes, on all cores.

    `as_written` leaves the graph as it is. Raises ModelError if onnxruntime computes quantised graphs wrongly
    on this processor whatever its settings, and onnxruntime's exceptions for what it refuses.
    """
    try:
        return open_session(source, ALL_CORES, AS_WRITTEN if as_written else None)
    except NotExactError as error:
        raise ModelError(str(error)) from error
