"""A network that another tool quantised -> model.int8.onnx, checked against the user's file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import Scheme
from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.data.split import Split
from pipeline.errors import CheckpointError, DataError
from pipeline.models.foreign.description import ForeignModel
from pipeline.progress import Progress
from pipeline.report.model.toolchain_check import ToolchainCheck
from pipeline.stages.artifacts import BroughtModel, FloatModel, QuantizedModel
from pipeline.stages.observe_part import TOOLS
from pipeline.stages.parity import ComparedOutputs, Parity
from targets.base import EngineRunner

if TYPE_CHECKING:
    from calibration.lint import LintFinding
    from pipeline.models.foreign.quantised.read_quantised import QuantisedNetwork
    from pipeline.models.foreign.quantised.write_canonical import Written
    from targets.runtime.exact.session import SessionSettings

CLOSE_DB = 20.0
"""The signal-to-difference ratio of outputs that a rewritten graph has to keep. The order of float
operations moves a few values in a thousand by one step, which leaves 35 dB and more; a fault leaves a few."""
TOGETHER = 8
"""Batch size of the comparison."""
NAMED = 3
NOTES = "notes.json"
UNROUNDED = (
    "the quantised network itself without its roundings: its weights as they are stored, activations bounded"
    " and not rounded. The float network that it was made from is not known, so what the rounding of weights"
    " cost is not in these figures. To compare with it, give it as the model, and this one with --quantized."
)
"""What the report compares with instead of FP32, if the user's network is quantised."""


@dataclass(frozen=True)
class AdoptQuantised(Stage):
    """Write model.int8.onnx in the form that all targets compile, parity.json and notes.json.

    `file` is that of `model`, which describes its input. stands_for_float: also write model.onnx, the
    network without its roundings. lowest_weight: of those that the target's kernels take.
    """

    name: ClassVar[str] = "adopt_quantised"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    model: ForeignModel
    file: InputFile
    scheme: Scheme
    classes: int
    check_images: Split
    dynamic_batch: bool
    stands_for_float: bool
    lowest_weight: int

    def run(self, output: Path, progress: Progress) -> None:
        """Read, write and compare.

        Raises CheckpointError naming a node without an exact form, or if the logits change; LintError for
        what the scheme does not allow; DataError for other classes than the data set's.
        """
        import onnx

        from calibration.foreign_qdq import check_written_anew
        from pipeline.models.foreign.quantised.read_quantised import read_quantised

        with progress.task("adopt the quantised network", None):
            network = read_quantised(self.model, self.dynamic_batch, progress.say)
            if not network.layers:
                raise CheckpointError(
                    f"{self.model.path} has no layer whose input and weights are both quantised. Quantise it"
                    " first, or give edgec the float network."
                )
            written = network.quantised(self.scheme, self.lowest_weight)
            costs = check_written_anew(written.model, self.model.path.name, self.scheme, written.in_float)
            self._check_classes(written.model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
            path = output / BroughtModel.file_name
            onnx.save(written.model, path)
            if self.stands_for_float:
                onnx.save(network.unrounded(), output / FloatModel.file_name)
            notes = [*_changes(written, costs), self._compared(path, network, output)]
        (output / NOTES).write_text(json.dumps([note.model_dump() for note in notes]))
        (output / BroughtModel.recipe_file).write_text(json.dumps({"recipe": self.scheme.value}))
        for note in notes:
            progress.say(f"adopt: {note.message}")

    def _check_classes(self, found: int) -> None:
        if found != self.classes:
            other = "its labels name" if self.model.labels else "the data set has"
            raise DataError(f"{self.model.path} has {found} classes; {other} {self.classes}.")

    def _compared(self, path: Path, network: "QuantisedNetwork", output: Path) -> ToolchainCheck:
        """Run the file and model.int8.onnx on the same images. Raises CheckpointError if they differ.

        Fused averages of onnxruntime round an exact half otherwise than its separate operators, and not the
        same way in the two graphs. So graphs that differ are compared again, with no operators fused.
        """
        from targets.runtime.exact.session import AS_WRITTEN

        fused = True
        expected, found = self._outputs(path, network, output, None)
        if noise_db(expected, found) < CLOSE_DB:
            fused = False
            expected, found = self._outputs(path, network, output, AS_WRITTEN)
        distance = noise_db(expected, found)
        if distance < CLOSE_DB:
            raise CheckpointError(
                f"The rewritten model differs from {self.model.path}: the difference of its outputs is"
                f" {-distance:.1f} dB of their size on {len(expected)} images; {-CLOSE_DB:g} dB is allowed."
            )
        same = int((_top1(expected, self.classes) == _top1(found, self.classes)).all(axis=1).sum())
        apart = "equal" if distance == np.inf else f"{distance:.0f} dB apart"
        how = "" if fused else ", without fused operators"
        message = (
            f"model.int8.onnx computes what {self.model.path.name} does: the same class for {same} of"
            f" {len(expected)} images, outputs {apart}{how}"
        )
        return ToolchainCheck(name="as it came", outcome="passed", message=message)

    def _outputs(
        self, path: Path, network: "QuantisedNetwork", output: Path, settings: "SessionSettings | None"
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the outputs of the file and of model.int8.onnx, an image a row. Writes how they differ."""
        pairs = list(self._pairs(path, network, settings))
        if not pairs:
            raise DataError("None of the evaluation images drawn to check the model can be read.")
        Parity.of(pairs).save(output)
        return np.concatenate([one.expected for one in pairs]), np.concatenate([one.found for one in pairs])

    def _pairs(
        self, path: Path, network: "QuantisedNetwork", settings: "SessionSettings | None"
    ) -> Iterator[ComparedOutputs]:
        from pipeline.models.foreign.original import Original
        from targets.runtime.reference_runner import open_engine

        original = Original(self.model, settings)
        with open_engine(path, settings=settings) as runner:
            for batch in self.check_images.readable(self.model.preprocessing, batch_size=TOGETHER):
                expected = [original.infer(image) for image in batch.images]
                found = _inferred(runner, batch.images, together=self.dynamic_batch)
                ended = [network.ended(one, wanted.size) for one, wanted in zip(found, expected, strict=True)]
                yield ComparedOutputs(
                    np.stack([outputs.ravel() for outputs in expected]), np.stack(ended).astype(np.float32)
                )


def _inferred(runner: EngineRunner, images: NDArray[np.uint8], together: bool) -> NDArray[np.float32]:
    if together:
        return runner.infer(images)
    return np.concatenate([runner.infer(image[None]) for image in images])


def _top1(outputs: NDArray[np.float32], classes: int) -> NDArray[np.int64]:
    """Return the class of each place, [N, places]; of one output for two classes its sign."""
    if outputs.shape[1] < classes:
        return np.asarray(outputs > np.median(outputs), np.int64)
    return np.asarray(outputs.reshape(len(outputs), classes, -1).argmax(1))


def noise_db(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the ratio of signal to difference; inf where there is none, NaN where a value is NaN."""
    signal = float(np.square(expected - expected.mean(), dtype=np.float64).sum())
    noise = float(np.square(expected - found, dtype=np.float64).sum())
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal > 0 else -float("inf")


def _changes(written: "Written", costs: "Sequence[LintFinding]") -> Iterator[ToolchainCheck]:
    """Report what was rewritten, and the cost of that."""
    if written.split:
        yield _noted(
            "wide weights",
            f"the weights of {_named(written.split)} reach beyond what one product holds (uint8 with a zero"
            " point, or -128 on this target): they are split into two or three, exactly, and take longer",
        )
    if written.rounded_biases:
        layers = "1 layer" if written.rounded_biases == 1 else f"{written.rounded_biases} layers"
        yield _noted(
            "float biases",
            f"the biases of {layers} are not multiples of their sums' steps, and were"
            " rounded to them, as integer engines add them",
        )
    if costs:
        by_rule: dict[str, list[str]] = {}
        for one in costs:
            by_rule.setdefault(f"{one.what}. {one.why}", []).append(one.node)
        for rule, nodes in by_rule.items():
            yield _noted("placement", f"{_named(nodes)}: {rule} Only time is lost.")


def _noted(name: str, message: str) -> ToolchainCheck:
    return ToolchainCheck(name=name, outcome="noted", message=message)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def notes_of(model: QuantizedModel) -> tuple[ToolchainCheck, ...]:
    """Return the notes about a network that another tool quantised; none for others."""
    if NOTES not in model.names:
        return ()
    return tuple(ToolchainCheck(**fields) for fields in json.loads(model.file(NOTES).read_text()))
