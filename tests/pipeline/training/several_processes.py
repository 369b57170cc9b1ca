"""Trainings of several processes, as torchrun starts them, without the time that torchrun takes."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.progress import Advance
from pipeline.training.loop import train
from pipeline.training.settings import TrainConfig
from tests.pipeline.training.small_runs import small


def tiny(data: Path, **changed: object) -> TrainConfig:
    settings: dict[str, object] = {"model": "resnet8-fashion", "epochs": 2, "batch_size": 16, "parts": 4}
    return small(data, **(settings | changed))


def results_in(run: Path) -> tuple[bytes, bytes, list[dict[str, object]]]:
    """Return the weights, the evaluation, and the history without its times."""
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    history = [{name: value for name, value in line.items() if name != "seconds"} for line in lines]
    return (run / "weights.safetensors").read_bytes(), (run / "evaluation.json").read_bytes(), history


def start(
    context: ForkServerContext, count: int, output: Path, config: TrainConfig, killed: int | None = None
) -> list[BaseProcess]:
    """Start `count` processes; the one called `killed` is killed in the second epoch."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started: list[BaseProcess] = []
    for rank in range(count):
        arguments = (rank, count, port, output, config, rank == killed)
        started.append(context.Process(target=_train_as, args=arguments))
        started[-1].start()
    return started


def _train_as(rank: int, count: int, port: int, output: Path, config: TrainConfig, dies: bool) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }
    if dies:
        from pipeline.training import trainer

        whole = trainer.Trainer.epoch

        def epoch(self: trainer.Trainer, number: int, *rest: object) -> object:
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(self, number, *rest)  # type: ignore[arg-type]

        trainer.Trainer.epoch = epoch  # type: ignore[method-assign,assignment]
    try:
        train(config, output)
    except PipelineError as error:
        (output.parent / f"error{rank}").write_text(str(error))
        sys.exit(error.exit_code)


class KilledOnce:
    """Kills its process in the second epoch, unless the mark is there already."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        if what.startswith("epoch 2") and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield lambda _: None

    def say(self, line: str) -> None:
        pass


if __name__ == "__main__":
    settings, folder = TrainConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2])
    train(settings, folder, KilledOnce(folder.parent / "killed"))
