"""The whole quantisation: prepare the float model if the recipe says so, collect ranges, quantise."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.collect import collect
from calibration.prepare_float import Images, prepare
from calibration.qdq import quantize
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe


@dataclass(frozen=True)
class Produced:
    """The results: the float model (rewritten or as given), its ranges, and the Q/DQ model."""

    float_model: Path
    ranges: Ranges
    quantized: Path


def produce(
    model: Path,
    images: Images,
    recipe: QuantRecipe,
    folder: Path,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Produced:
    """Quantise the float ONNX `model` as `recipe` says and write all files to `folder`.

    Reads `images` one to four times and reports each batch's size to `on_batch`. Raises the errors of
    `prepare`, `collect` and `quantize`.
    """
    float_model = model
    if recipe.prepares:
        float_model = folder / "model.prepared.onnx"
        prepare(model, images, recipe, float_model, on_batch)
    ranges = collect(float_model, images(), recipe, on_batch)
    ranges.save(folder / "ranges.json")
    quantized = folder / "model.int8.onnx"
    quantize(float_model, ranges, recipe, quantized, images() if recipe.needs_images else (), on_batch)
    return Produced(float_model, ranges, quantized)
