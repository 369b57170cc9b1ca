"""Programs on devices that stay open from one use to the next, so that an engine is loaded once."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from targets.reach.remote import StreamRunner

_kept: ContextVar[dict[Hashable, StreamRunner] | None] = ContextVar("kept", default=None)


@contextmanager
def one_session() -> Iterator[None]:
    """Keep what `kept_open` starts within it running for whoever opens the same again; end it at last."""
    runners: dict[Hashable, StreamRunner] = {}
    token = _kept.set(runners)
    try:
        yield
    finally:
        _kept.reset(token)
        for runner in runners.values():
            runner.close()


@contextmanager
def kept_open(what: Hashable, start: Callable[[], StreamRunner]) -> Iterator[StreamRunner]:
    """Yield the runner that `start` makes; in a session it is made once for all who ask for that `what`."""
    runners = _kept.get()
    if runners is not None:
        if what not in runners:
            runners[what] = start()
        yield runners[what]
        return
    runner = start()
    try:
        yield runner
    finally:
        runner.close()
