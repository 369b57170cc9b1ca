import os
from dataclasses import replace
from pathlib import Path

import pytest

from targets.runtime.tensorrt.device_engines import timing_cache_name
from targets.runtime.tensorrt.engine import (
    EngineChoice,
    EngineKey,
    EnginePlace,
    EngineProblem,
    is_same_version,
    write,
)

KEY = EngineKey("a" * 64, "8.5.2", "87", "Jetson-AGX", "35.4.1", "workspace 1024 MiB, batch 1, one stream")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("8.5.2.2", "8.5.2", True),  # Python's module and trtexec of one installation
        ("8.5.2", "8.5.2.2", True),
        ("10.13.3.9", "10.13.3.11", False),
        ("8.5.2", "8.5.3", False),
        ("10.3.0", "10.3.0", True),
        ("10", "10.3.0", False),
    ],
)
def test_versions_are_compared_in_the_numbers_that_both_name(one: str, other: str, same: bool) -> None:
    assert is_same_version(one, other) is same


def test_an_engine_of_the_other_builder_of_the_same_version_is_used(tmp_path: Path) -> None:
    place = EnginePlace(tmp_path, "int8")
    place.store(b"plan", KEY, "MAXN")
    assert place.problem(replace(KEY, tensorrt="8.5.2.2")) == ""
    assert place.problem(replace(KEY, tensorrt="8.5.3")) == "TensorRT is 8.5.3, was 8.5.2"


def test_an_engine_runs_in_each_power_mode_and_is_built_for_one(tmp_path: Path) -> None:
    place = EnginePlace(tmp_path, "int8")
    place.store(b"plan", KEY, "15W")
    assert place.problem(KEY) == ""
    assert place.problem(KEY, "15W") == ""
    assert place.problem(KEY, "MAXN") == "the power mode is MAXN, was 15W"


def test_times_of_kernels_are_shared_only_where_they_were_taken() -> None:
    """TensorRT itself takes those of another module with the same GPU."""
    others = [replace(KEY, **{field: "another"}) for field in ("tensorrt", "sm", "module", "l4t")]
    names = [timing_cache_name(key, "MAXN") for key in (KEY, *others)] + [timing_cache_name(KEY, "15W")]
    assert len(set(names)) == len(names)
    assert timing_cache_name(replace(KEY, onnx="b", options="batch 8"), "MAXN") == names[0]


def test_what_root_writes_belongs_to_the_folder_s_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda *values: given.append(values))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    write(tmp_path / "a", b"")
    assert given == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    write(tmp_path / "a", b"")
    folder = tmp_path.stat()
    assert given == [(str(tmp_path / "a.part"), folder.st_uid, folder.st_gid)]


def test_a_choice_is_read_as_it_was_written_or_refused(tmp_path: Path) -> None:
    choice = EngineChoice("fp16", True, "INT8 is not shown to be faster")
    with pytest.raises(EngineProblem, match="no engine yet"):
        EngineChoice.read(tmp_path)
    choice.write(tmp_path)
    assert EngineChoice.read(tmp_path) == choice
    (tmp_path / "chosen.json").write_text('{"precision": "fp16"}')
    with pytest.raises(EngineProblem, match="is damaged"):
        EngineChoice.read(tmp_path)
