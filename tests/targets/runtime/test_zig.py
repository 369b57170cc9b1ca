"""The C compiler is called in the same way from every folder, so that what it has compiled is found again."""

from pathlib import Path

import pytest

from targets.runtime.zig import run_zig


def test_it_runs_in_a_folder_that_does_not_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it compiles the C library again in each checkout."""
    package = tmp_path / "ziglang"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import os; print(os.getcwd())")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run_zig(["-c"], [Path("one.c")], Path("one.o")).stdout == "/\n"


def test_relative_paths_are_those_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.c").write_text("int one(void) { return 1; }\n")
    assert run_zig(["-c"], [Path("one.c")], Path("one.o")).returncode == 0
    assert (tmp_path / "one.o").stat().st_size > 0
