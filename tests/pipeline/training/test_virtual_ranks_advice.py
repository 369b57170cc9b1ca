"""A training of several processes that is refused gives advice, and the advice works."""

import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from pipeline.errors import PipelineError, TrainingError
from pipeline.training.loop import train
from pipeline.training.processes import Processes, refuse_torchrun
from pipeline.training.settings import TrainConfig
from pipeline.training.virtual_ranks import in_parts
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.training.several_processes import results_in, start, tiny


@pytest.mark.parametrize(
    ("words", "given", "images", "heeded"),
    [
        ("parts of a batch cannot be shared evenly by ", {"parts": 3}, 100, {"parts": 4}),
        ("images cannot be cut into ", {"batch_size": 15}, 100, {"batch_size": 16}),
        ("images cannot be cut into ", {"batch_size": 6, "parts": 4}, 100, {"batch_size": 8, "parts": 4}),
        (" training images for ", {"parts": 64}, 100, {"parts": 32}),
    ],
)
def test_parts_that_do_not_fit(
    words: str, given: dict[str, int], images: int, heeded: dict[str, int]
) -> None:
    settings = {"batch_size": 128, **given}
    check_advice(
        words,
        lambda: in_parts(TrainConfig.model_validate(settings), images, Processes(1, 2, 1)),
        lambda: settings.update(heeded),
    )


@pytest.mark.parametrize(
    ("given", "advice"), [({"parts": 3}, "Set parts = 4"), ({"parts": 5}, "Set parts = 6")]
)
def test_the_number_of_parts_that_is_advised_fits(given: dict[str, int], advice: str) -> None:
    with pytest.raises(PipelineError, match=advice):
        in_parts(TrainConfig.model_validate(given), 100, Processes(0, 2))


@pytest.mark.parametrize(("batch", "fits"), [(15, 16), (1023, 1024), (2, 8)])
def test_the_batch_that_is_advised_fits(batch: int, fits: int) -> None:
    with pytest.raises(PipelineError, match=f"Give --batch {fits}, or other parts"):
        in_parts(TrainConfig(batch_size=batch), 5000, Processes(0, 4))
    assert in_parts(TrainConfig(batch_size=fits), 5000, Processes(0, 4)).parts == 4


def test_what_runs_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_advice(
        " runs in one process. Run it without torchrun.",
        lambda: refuse_torchrun("This"),
        lambda: monkeypatch.delenv("TORCHELASTIC_RUN_ID"),
    )


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_others_and_one_process_resumes_to_the_same_bytes(
    killed: int, data: Path, tmp_path: Path, forked: ForkServerContext
) -> None:
    config = tiny(data, parts=2)
    train(config, tmp_path / "whole")
    started = start(forked, 2, tmp_path / "run", config, killed)
    for process in started:
        process.join()
    assert started[killed].exitcode == -signal.SIGKILL
    assert started[1 - killed].exitcode == TrainingError.exit_code
    error = (tmp_path / f"error{1 - killed}").read_text()
    assert error.startswith(
        "Another process of this training has ended or cannot be reached; its own message says why."
    )
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 1
    train(config, tmp_path / "run")
    assert results_in(tmp_path / "run") == results_in(tmp_path / "whole")
