"""Parts of a batch: any number of processes gives the same weights, and a killed one loses no full epoch."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.training.held import held_in_memory
from pipeline.training.loop import train
from pipeline.training.processes import Processes
from pipeline.training.settings import TrainConfig
from pipeline.training.virtual_ranks import VirtualRanks, in_parts
from tests.conftest import ROOT
from tests.pipeline.training import several_processes
from tests.pipeline.training.several_processes import results_in, start, tiny


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_1_2_and_4_processes_end_with_the_same_bytes(
    data: Path, tmp_path: Path, forked: ForkServerContext
) -> None:
    config = tiny(data, average=0.9, watch="held_out", patience=5, class_weights="balanced", erase=0.5)
    train(config, tmp_path / "1")
    for count in (2, 4):
        started = start(forked, count, tmp_path / str(count), config)
        for process in started:
            process.join()
        assert [process.exitcode for process in started] == [0] * count
        assert results_in(tmp_path / str(count)) == results_in(tmp_path / "1")


@pytest.mark.slow
def test_torchrun_restarts_a_killed_training(data: Path, tmp_path: Path) -> None:
    config = tiny(data, parts=1)  # torchrun makes it one for each process
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [several_processes.__file__, config.model_dump_json(exclude_unset=True), str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, "--max-restarts", "1", *script], check=True, env=environment)
    assert (tmp_path / "killed").exists()
    train(tiny(data, parts=2), tmp_path / "alone")
    assert results_in(tmp_path / "run") == results_in(tmp_path / "alone")


def test_each_image_is_in_one_part_alone(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts share no image, and together they have all of them."""
    held = []

    def listened(*arguments: object) -> object:
        held.append(arguments[0])
        return real(*arguments)  # type: ignore[arg-type]

    real = held_in_memory
    monkeypatch.setattr("pipeline.training.loop.held_in_memory", listened)
    train(tiny(data, epochs=1), tmp_path / "run")
    indices = [int(index) for split in held for index in split.indices]  # type: ignore[attr-defined]
    assert len(held) == 4
    assert len(indices) == len(set(indices)) == 54


def test_gradients_and_statistics_are_those_of_torch() -> None:
    """The mean gradient of the parts, and the statistics of forward passes one after the other."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 9, 5)).train()
    expected = copy.deepcopy(network)
    parts = [(torch.randn(4, 3, 5, 5), torch.arange(4)) for _ in range(3)]

    def learn(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, int]:
        logits = network(images)
        loss = functional.cross_entropy(logits, labels)
        torch.autograd.backward(loss)
        return loss.item(), int((logits.argmax(1) == labels).sum())

    ranks = VirtualRanks(3, Processes())
    loss, right = ranks.learn(network, [lambda part=part: learn(network, *part) for part in parts])  # type: ignore[misc]
    told = [learn(expected, *part) for part in parts]  # torch adds up the gradients
    assert loss == pytest.approx(sum(one for one, _ in told) / 3)
    assert right == sum(one for _, one in told)
    for mine, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad, theirs.grad / 3)
    for kept, wanted in zip(network.buffers(), expected.buffers(), strict=True):
        torch.testing.assert_close(kept, wanted)


def test_with_one_part_for_each_process_by_default() -> None:
    config = TrainConfig(batch_size=16)
    assert in_parts(config, 100, Processes()) == config
    assert in_parts(config, 100, Processes(1, 4, 1)).parts == 4
    assert in_parts(config.model_copy(update={"parts": 8}), 100, Processes(1, 4, 1)).parts == 8
