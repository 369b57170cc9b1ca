"""Engine + evaluation pictures -> end_to_end.json: the time from a picture's file to the top-5."""

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.from_measurement import noise_of_machine, quantile_ms
from pipeline.report.model.picture_latency import EndToEnd, StepTime
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from targets.measure_apart import measure_in_child
from targets.picture_steps import DECODE, FIT, INFER, WHOLE, PictureSteps
from targets.runtime.measure import Measurement, Settings
from targets.runtime.preprocess import ImageError

PICTURES = 64
"""How many pictures are timed, in turn, so that quantiles are over pictures too."""
RUNS = Settings(min_runs=100, max_runs=1000, max_seconds=2.0, max_warmup_seconds=0.5)


@dataclass(frozen=True)
class TimePictures(Stage):
    """Time each step and the whole in alternation, in a new process on this machine."""

    name: ClassVar[str] = "time"
    is_measurement: ClassVar[bool] = True
    tools: ClassVar[tuple[str, ...]] = ("onnxruntime", "numpy", "opencv-python")

    engine: CompiledEngine
    images: ModelImages
    classes: int
    threads: int
    seconds: float
    """Seconds for each step at most."""

    @property
    def times_this_machine(self) -> bool:
        """Yes: pictures are timed nowhere else."""
        return True

    def run(self, output: Path, progress: Progress) -> None:
        """Write end_to_end.json. Raises DataError if no picture can be read."""
        with (
            progress.task("time pictures", None),
            tempfile.TemporaryDirectory(prefix="edgec-pictures-") as scratch,
        ):
            steps, sizes = self._steps(Path(scratch))
            names = [name for name in (DECODE, FIT, INFER, WHOLE) if name != DECODE or steps.encoded]
            engines = [("targets.picture_steps", steps.save(Path(scratch) / f"{n}.json", n)) for n in names]
            settings = replace(RUNS, max_seconds=min(RUNS.max_seconds, self.seconds))
            nothing = np.zeros((1, 1, 1, 1), np.uint8)  # each step has its own pictures
            found = measure_in_child(engines, nothing, settings, self.threads)
        times = {name: _step(runs) for name, runs in zip(names, found, strict=True)}
        EndToEnd(
            origin=self.engine.target.origin,
            pictures=len(sizes),
            smallest=min(sizes, key=np.prod),
            largest=max(sizes, key=np.prod),
            threads=self.threads,
            decode=times.get(DECODE),
            fit=times[FIT],
            model=times[INFER],
            whole=times[WHOLE],
            noisy=noise_of_machine(found[-1]),
        ).save(output / "end_to_end.json")

    def _steps(self, scratch: Path) -> tuple[PictureSteps, list[tuple[int, int]]]:
        split, channels = self.images.split, self.images.preprocessing.channels
        stored: list[NDArray[np.uint8]] = []
        sizes = []
        encoded = True
        for place in np.unique(np.linspace(0, len(split) - 1, min(PICTURES, len(split))).astype(np.int64)):
            index = int(split.indices[place])
            try:
                picture = split.images.decode(index, channels)
                file = split.images.encoded(index)
            except ImageError:
                continue
            encoded = file is not None
            stored.append(picture if file is None else np.frombuffer(file, np.uint8))
            sizes.append((picture.shape[0], picture.shape[1]))
        np.savez(scratch / "pictures.npz", *stored)
        return (
            PictureSteps(
                pictures=scratch / "pictures.npz",
                encoded=encoded,
                preprocessing=asdict(self.images.preprocessing),
                runner=self.engine.target.runner,
                engine=self.engine.path.absolute(),
                classes=self.classes,
            ),
            sizes,
        )


def _step(measured: Measurement) -> StepTime:
    runs = np.array(measured.runs_ns, np.int64)
    p50, p90, p99 = (quantile_ms(runs, probability) for probability in (0.5, 0.9, 0.99))
    return StepTime(p50=p50, p90=p90, p99=p99, runs=len(runs))
