"""The float network -> onnxruntime's own static quantisation of it, and how closely that agrees."""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from calibration.errors import CalibrationError
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.logit_distance import named_class
from pipeline.stages.artifacts import Artifact
from pipeline.stages.image_set import ModelImages
from pipeline.stages.own_graph import OwnGraph
from targets.errors import TargetError
from targets.peers.prepared_input import PreparedNetwork

if TYPE_CHECKING:
    from targets.runtime.exact.session import SessionSettings

CALIBRATED_WITH, COMPARED_ON = 32, 128
"""Numbers of images: few, since the peer is only compared with the build's own figures."""


@dataclass(frozen=True)
class PeerFacts:
    """The result of the quantisation. `agreement`: the share of images (pixels) with the same top-1 as FP32.

    refused: why there is no INT8 network; the other fields are 0 then.
    """

    refused: str | None
    calibration_images: int = 0
    images: int = 0
    agreement: float = 0.0
    agreement_exactly: float | None = None
    """The same in settings that are exact on this processor; None where there are none."""
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()


@dataclass(frozen=True)
class Peer(Artifact):
    """What `QuantizeElsewhere` wrote."""

    file_name: ClassVar[str] = "peer.json"
    model_file: ClassVar[str] = "onnxruntime.int8.onnx"

    @property
    def facts(self) -> PeerFacts:
        """Return the result."""
        fields = json.loads(self.path.read_text())
        return PeerFacts(**{**fields, "scale": tuple(fields["scale"]), "offset": tuple(fields["offset"])})

    @property
    def network(self) -> PreparedNetwork | None:
        """Return the INT8 network; None if there is none."""
        facts = self.facts
        if facts.refused is not None:
            return None
        return PreparedNetwork(self.file(self.model_file), "NCHW", facts.scale, facts.offset)


@dataclass(frozen=True)
class QuantizeElsewhere(Stage):
    """Quantise the network with `onnxruntime.quantization.quantize_static`, as people do without edgec."""

    name: ClassVar[str] = "peer"
    is_measurement: ClassVar[bool] = True
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "numpy", "opencv-python")

    own: OwnGraph
    calibration: ModelImages
    evaluation: ModelImages

    def run(self, output: Path, progress: Progress) -> None:
        """Write peer.json, and onnxruntime.int8.onnx unless onnxruntime refuses the network."""
        from targets.peers.static_int8 import quantize_static

        with progress.task("onnxruntime's own INT8", None), tempfile.TemporaryDirectory() as scratch:
            try:
                network = self.own.behind_pixels(Path(scratch))
                quantize_static(network, self.calibration.batches(), output / Peer.model_file)
                facts = self._compared(network, output / Peer.model_file)
            except (TargetError, CalibrationError) as error:
                (output / Peer.model_file).unlink(missing_ok=True)
                facts = PeerFacts(str(error))
        (output / Peer.file_name).write_text(json.dumps(asdict(facts)))

    def _compared(self, network: PreparedNetwork, int8: Path) -> PeerFacts:
        """Classify the evaluation images with both networks."""
        from targets.peers.prepared_input import default_session
        from targets.runtime.exact.session import LADDER, open_session

        sessions = [default_session(network.file, 1), default_session(int8, 1)]
        exact = _exact_settings()
        if exact is not None and exact is not LADDER[0]:
            sessions.append(open_session(int8))
        same, total, images = np.zeros(len(sessions) - 1), 0, 0
        for batch in self.evaluation.readable(1):
            values = network.prepared(batch.images, floats=True)
            fp32, *found = (session.run(None, {"image": values})[0] for session in sessions)
            same += [float((named_class(fp32) == named_class(one)).sum()) for one in found]
            total += named_class(fp32).size
            images += len(batch.images)
        by_default, *exactly = (same / max(1, total)).tolist()
        if exact is LADDER[0]:
            exactly = [by_default]
        return PeerFacts(
            refused=None,
            calibration_images=len(self.calibration),
            images=images,
            agreement=by_default,
            agreement_exactly=exactly[0] if exactly else None,
            scale=network.scale,
            offset=network.offset,
        )


def _exact_settings() -> "SessionSettings | None":
    """Return the settings that are exact on this processor; None if there are none."""
    from targets.runtime.exact.session import NotExactError, exact_settings

    try:
        return exact_settings()
    except NotExactError:
        return None
