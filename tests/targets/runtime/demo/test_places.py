"""Places: a client that the demo waits for loses its place to the next one, and no other client does."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from targets.runtime.demo.places import Places


@pytest.fixture
def ours() -> Iterator[list[socket.socket]]:
    """Three connections, of which the other ends stay open."""
    with ExitStack() as held:
        pairs = [[held.enter_context(one) for one in socket.socketpair()] for _ in range(3)]
        yield [one for one, _ in pairs]


def is_open(connection: socket.socket) -> bool:
    try:
        connection.send(b"x")
    except OSError:
        return False
    return True


def test_the_one_that_is_waited_for_longest_yields(ours: list[socket.socket]) -> None:
    now = [0.0]
    places = Places(2, 1.0, lambda: now[0])
    assert places.take(ours[0])
    assert places.take(ours[1])
    with places.waiting(ours[1]):
        now[0] = 0.5
        with places.waiting(ours[0]):
            now[0] = 0.9
            assert not places.take(ours[2])  # the demo has not waited long enough for either
            now[0] = 1.7
            assert places.take(ours[2])
    assert [is_open(one) for one in ours] == [True, False, True]


def test_a_viewer_that_reads_keeps_its_place(ours: list[socket.socket]) -> None:
    now = [0.0]
    places = Places(1, 1.0, lambda: now[0])
    assert places.take(ours[0])
    with places.waiting(ours[0]):
        pass
    now[0] = 100.0
    assert not places.take(ours[1])
    places.leave(ours[0])
    assert places.take(ours[1])
    assert is_open(ours[0])
