"""The ONNX files of a Jetson with FP8 + some evaluation images -> fp8.json: FP8 beside INT8 and FP32."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.logit_distance import named_class
from pipeline.report.model.fp8_accuracy import Fp8Accuracy
from pipeline.report.paired import paired_images
from pipeline.stages.answer import TOOLS
from pipeline.stages.artifacts import FloatModel
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from targets.reference import ReferenceTarget
from targets.runtime.tensorrt.candidate import FP8_ONNX, HALF_ONNX

BATCH = 16
IMAGES = 512
"""How many images are classified. In onnxruntime FP8 takes about a hundred times as long as INT8."""


def has_fp8(engine: CompiledEngine) -> bool:
    """Whether the network has a form in FP8. Where it has none, FP8_ONNX has the bytes of HALF_ONNX."""
    digests = engine.product.digests
    return FP8_ONNX in digests and digests[FP8_ONNX] != digests[HALF_ONNX]


@dataclass(frozen=True)
class TryFp8(Stage):
    """Classify images in FP32, INT8 and FP8 on this machine."""

    name: ClassVar[str] = "try-fp8"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    engine: CompiledEngine
    images: ModelImages

    def run(self, output: Path, progress: Progress) -> None:
        """Write fp8.json; images that cannot be read are left out, as validation has reported them."""
        from targets.tensorrt.fp8_reference import Fp8Reference

        right: list[np.ndarray[tuple[int, int], np.dtype[np.bool_]]] = []
        fp8 = Fp8Reference(self.engine.file(FP8_ONNX))
        with (
            ReferenceTarget().open(self.float_model.path) as fp32,
            ReferenceTarget().open(self.engine.path) as int8,
            progress.task("try-fp8", len(self.images)) as advance,
        ):
            for batch in self.images.readable(BATCH):
                answers = [named_class(one.infer(batch.images)) for one in (fp32, int8, fp8)]
                right.append(np.stack(answers) == batch.labels)
                advance(len(batch.labels))
        before, integers, floats = np.concatenate(right, axis=1)
        to_fp8, to_int8 = paired_images(before, floats), paired_images(before, integers)
        between = paired_images(integers, floats)
        found = Fp8Accuracy(
            images=to_fp8.images,
            fp32_correct=to_fp8.fp32_correct,
            int8_correct=to_int8.int8_correct,
            fp8_correct=to_fp8.int8_correct,
            fp8_drop=to_fp8.drop_points,
            fp8_drop_interval=to_fp8.drop_interval,
            int8_drop=to_int8.drop_points,
            int8_drop_interval=to_int8.drop_interval,
            int8_to_fp8=between.drop_points,
            int8_to_fp8_interval=between.drop_interval,
        )
        found.save(output / "fp8.json")
