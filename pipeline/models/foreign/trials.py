"""Functions that read a foreign graph on trial. `tried_apart` calls them in a process with limits."""

from pathlib import Path

import numpy as np
import onnx

from pipeline.errors import CheckpointError
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.normal_form.read_normal import in_normal_form
from pipeline.models.foreign.onnx_file import read_onnx
from pipeline.models.foreign.original import Original
from pipeline.models.foreign.quantised.read_quantised import read_quantised
from pipeline.models.foreign.rewrite import adopt


def rewrite(source: ForeignModel, dynamic_batch: bool, quantised: bool) -> None:
    """Rewrite a file, and run the original on one black image."""
    if quantised:
        read_quantised(source, dynamic_batch, _unheard)
    else:
        adopt(source, dynamic_batch, _unheard)
    Original(source).infer(np.zeros(source.input_shape, np.uint8))


def infer(path: Path) -> None:
    """Infer the shapes of a file, as it is and in the normal form."""
    model = read_onnx(path)
    onnx.shape_inference.infer_shapes(model, data_prop=True)
    try:
        in_normal_form(model, path)
    except CheckpointError:  # said where it is needed
        return


def _unheard(_: str) -> None:
    """Drop a message: changes are reported when the model is rewritten for the build."""
