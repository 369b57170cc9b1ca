"""The runtime's modules in one file, for devices."""

import ast
import threading
import time

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
