"""Libraries that are compiled once for the user."""

import threading
from pathlib import Path

import pytest

from targets.runtime.c_library import CompiledOnce


def test_who_comes_while_a_library_is_compiled_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "one.c"
    source.write_text("int one;")
    compiling, twice, compiled = threading.Event(), threading.Event(), list[Path]()

    def compile_it(_machine: str, folder: Path) -> None:
        compiled.append(folder)
        (folder / "one.o").write_text("compiled")
        if len(compiled) > 1:
            twice.set()
        compiling.set()
        twice.wait(0.3)  # so long a second one may begin

    library = CompiledOnce("one", (source,), (), compile_it)
    first = threading.Thread(target=library.folder, args=("x86_64",))
    first.start()
    compiling.wait()
    assert (library.folder("x86_64") / "one.o").read_text() == "compiled"
    first.join()
    assert len(compiled) == 1


@pytest.mark.timeout(30)
def test_a_product_may_need_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """edgec-serve needs libedgec: where neither was compiled before, both are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "one.c"
    source.write_text("int one;")
    inner = CompiledOnce("inner", (source,), (), lambda _, folder: (folder / "inner.o").touch())

    def compile_outer(machine: str, folder: Path) -> None:
        assert (inner.folder(machine) / "inner.o").is_file()
        (folder / "outer.o").touch()

    outer = CompiledOnce("outer", (source,), (), compile_outer)
    assert (outer.folder("x86_64") / "outer.o").is_file()
