"""The runtime's modules in one file, for devices."""

import ast
import io
import threading
import time
import zipfile

import pytest

from targets.reach import zip_program


def test_no_two_threads_parse_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 may then end in a SystemError (github.com/python/cpython/issues/106905)."""
    inside, at_once = [], []

    def parse(text: str, *_: object) -> ast.Module:  # pytest calls it, too, if this fails
        inside.append(text)
        at_once.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return ast.Module([], [])

    monkeypatch.setattr(ast, "parse", parse)
    threads = [threading.Thread(target=zip_program.program, args=("board_lease",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once
    assert set(at_once) == {1}


@pytest.mark.parametrize("module", ["sustained.soak", "sustained.power_modes"])
def test_what_measures_any_device_needs_nothing_of_jetsons(module: str) -> None:
    with zipfile.ZipFile(io.BytesIO(zip_program.program(module))) as archive:
        assert not [name for name in archive.namelist() if name.startswith("runtime/tensorrt/")]
