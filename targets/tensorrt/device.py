"""TARGET=jetson with DEVICE=ssh://...: engines are built, run and timed on the Jetson itself.

Every step can be repeated after an interruption: nothing on the device is sent or built again.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from targets.base import BuildState, Check, EngineRunner, Origin, TriedCandidate, require_engine
from targets.devices import Jetson, jetsons
from targets.errors import EngineError, TargetUnavailable
from targets.reach.answers import checked, json_answer, sensible
from targets.reach.kept_open import kept_open
from targets.reach.leased_board import leased, run_alone
from targets.reach.remote import StreamRunner
from targets.reach.sent_files import sent
from targets.reach.ssh import SshDevice
from targets.reach.transfer import file_digest
from targets.reach.zip_program import program
from targets.runtime.measure import Measurement, Settings
from targets.runtime.tensorrt.build import BuildOptions
from targets.runtime.tensorrt.engine import FP16, INT8
from targets.runtime.tensorrt.jetson import DeviceFacts
from targets.tensorrt.findings import findings, tried
from targets.tensorrt.jetson_target import JetsonTarget
from targets.tensorrt.marked_answer import MarkedTensors, read_marked
from targets.tensorrt.measured_answer import Asked, MeasuredAnswer, read_measured

FOLDER = "edgec/tensorrt"
"""The folder on the device, relative to the home folder."""


class JetsonOnDevice(JetsonTarget):
    """A Jetson that is reached over SSH."""

    origin: ClassVar[Origin] = Origin.DEVICE
    state: ClassVar[BuildState] = BuildState.ON_DEVICE

    def __init__(self, module: Jetson, reached: SshDevice, threads: int = 1) -> None:
        super().__init__(module, threads)
        self.reached = reached
        self.say: Callable[[str], None] = lambda _: None
        self._found: MeasuredAnswer | None = None
        self._built: set[str] = set()
        self._evaluation: Path | None = None
        self._max_drop = 1.0

    def check(self) -> None:
        """Raise TargetUnavailable for a module without INT8, or another one than the target names."""
        super().check()
        facts = module_facts(self.reached)
        if facts.is_jetson and facts.sm and facts.sm != self.module.sm:
            raise TargetUnavailable(
                f"{self.reached.address} is {facts.module} (sm_{facts.sm}); {self.name} is for "
                f"sm_{self.module.sm}. {_targets_for(facts.sm)}"
            )

    def device(self) -> str:
        """Name the module, its software and its power mode, as it reports them."""
        return str(module_facts(self.reached))

    def fingerprint(self) -> str:
        """Name the module and its software, and the tools that checked the graph here."""
        return f"{self.device()} / {super().fingerprint()}"

    @contextmanager
    def open(self, engine: Path) -> Iterator[EngineRunner]:
        """Build on the device, if that is not done yet, and run INT8. Raises EngineError or a DeviceError."""
        with self._running(engine, INT8) as runner:
            yield runner

    @contextmanager
    def open_fp16(self, engine: Path) -> Iterator[EngineRunner]:
        """Run FP16 as `open` runs INT8."""
        with self._running(engine, FP16) as runner:
            yield runner

    @contextmanager
    def _running(self, engine: Path, precision: str) -> Iterator[EngineRunner]:
        require_engine(engine, self.name)

        def start() -> StreamRunner:
            folder = self._prepared(engine)
            image, classes = _sizes(engine)
            program = [self.reached.address.python, tool(self.reached)]
            command = [*program, "stream", folder, str(classes), "--precision", precision]
            return StreamRunner(self.reached, command, image, classes)

        what = (self.reached.address, file_digest(engine), precision)
        with leased(self.reached, self.say), kept_open(what, start) as runner:
            yield runner

    def measure(
        self,
        engine: Path,
        images: NDArray[np.uint8],
        settings: Settings,
        threads: int,  # noqa: ARG002
    ) -> Measurement:
        """Time all candidates there in alternation; returns INT8, end to end. Raises as `open`.

        Engines are built for the batch of `settings`, those that `open` runs for one image.
        """
        folder = self._prepared(engine, settings.batch)
        with tempfile.TemporaryDirectory(prefix="edgec-jetson-") as scratch:
            file = Path(scratch) / "images.npy"
            np.save(file, images)
            remote = sent(self.reached, file)
        wishes, evaluated = ["--settings", json.dumps(asdict(settings))], 0
        if self._evaluation is not None:
            with np.load(self._evaluation, allow_pickle=False) as held:
                evaluated = len(held["labels"])
            there = sent(self.reached, self._evaluation)
            wishes += ["--evaluation", there, "--max-drop", str(self._max_drop)]
        with leased(self.reached, self.say):
            answer = self._step("measure", folder, remote, *wishes)
        asked = Asked(settings, len(images), evaluated, self._max_drop)
        with sensible(self.reached.address, "times"):
            found = read_measured(answer, asked)
        if evaluated and not found.chosen:
            raise EngineError(f"{self.reached.address}: {found.why}")
        self._found = found
        return found.timed[INT8].end_to_end

    def tensors(self, engine: Path, images: NDArray[np.uint8], names: Sequence[str]) -> MarkedTensors:
        """Build INT8 there with some tensors as outputs too, and return their values. Raises as `open`."""
        folder = self._prepared(engine)
        with tempfile.TemporaryDirectory(prefix="edgec-jetson-") as scratch:
            asked, wanted, found = (Path(scratch) / name for name in ("images.npy", "names.json", "found"))
            np.save(asked, images)
            wanted.write_text(json.dumps(list(names)))
            with leased(self.reached, self.say):
                there = [sent(self.reached, one) for one in (asked, wanted)]
                answer = self._step("tensors", folder, *there)
                self.reached.fetch(f"{folder}/tensors.bin", found)
            with sensible(self.reached.address, "tensors"):
                return read_marked(answer, found, names, len(images))

    def choose_by(self, evaluation: Path, max_drop: float) -> None:
        """Let `measure` choose by these images; see HasCandidates."""
        self._evaluation, self._max_drop = evaluation, max_drop

    def fp16_latency(self) -> Measurement | None:
        """FP16 in the last `measure`, end to end."""
        return self._found.timed[FP16].end_to_end if self._found else None

    def findings(self) -> tuple[Check, ...]:
        """Other findings of `measure`: FP16's latency, and what runs in INT8."""
        return findings(self._found) if self._found else ()

    def candidates(self) -> tuple[TriedCandidate, ...]:
        """Every candidate in the last `measure`."""
        return tried(self._found) if self._found else ()

    def _prepared(self, engine: Path, batch: int = 1) -> str:
        """Send the ONNX files and let the device build. Returns the folder there, which is one batch's."""
        require_engine(engine, self.name)
        folder = f"{FOLDER}/{file_digest(engine)[:16]}" + (f"-batch{batch}" if batch > 1 else "")
        if folder in self._built:
            return folder
        for name in self.shipped:
            self.reached.send(engine.with_name(name), f"{folder}/engine/{name}")
        options = BuildOptions(workspace_mib=self.module.workspace_mib, batch=batch)
        with leased(self.reached, self.say):
            self._step("engines", folder, "--options", json.dumps(asdict(options)))
        self._built.add(folder)
        return folder

    def _step(self, *arguments: str) -> dict[str, Any]:
        return step(self.reached, arguments, self.say)


def step(device: SshDevice, arguments: Sequence[str], say: Callable[[str], None]) -> dict[str, Any]:
    """Run a step of targets.runtime.tensorrt.device_steps there and return its answer. Raises EngineError.

    `say` is called with each line of its output as it arrives.
    """

    def on_line(line: str) -> None:
        if not line.startswith("{"):  # the answer
            say(f"{device.address}: {line.rstrip()}")

    command = [device.address.python, tool(device), *arguments]
    measures = arguments[0] == "measure"
    done = run_alone(device, command, on_line) if measures else device.run(command, on_line=on_line)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise EngineError(f"{device.address}: {lines[-1]}")
    with sensible(device.address, arguments[0]):
        return dict(json_answer(done.stdout))


@cache
def tool(device: SshDevice) -> str:
    """Send the program with all steps; return where it is."""
    with tempfile.TemporaryDirectory(prefix="edgec-jetson-") as scratch:
        file = Path(scratch) / "steps.pyz"
        file.write_bytes(program("tensorrt.device_steps"))
        return sent(device, file)


@cache
def module_facts(device: SshDevice) -> DeviceFacts:
    """Return the device's facts, which are cached since a build needs them often."""
    found = step(device, ["probe"], lambda _: None)
    with sensible(device.address, "what it is"):
        return checked(DeviceFacts, found)


def _targets_for(sm: str) -> str:
    """Say which targets are for a compute capability."""
    names = [name for name, module in jetsons().items() if module.sm == sm]
    return f"Give --target {' or '.join(names)}." if names else f"No target is for sm_{sm}."


def _sizes(engine: Path) -> tuple[tuple[int, ...], int]:
    """The shape of an image and the number of logits an image has, of an ONNX file."""
    import onnx

    graph = onnx.load(engine).graph
    shapes = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (graph.input[0], graph.output[0])
    ]
    return tuple(shapes[0][1:]), math.prod(shapes[1][1:])
