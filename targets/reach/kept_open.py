"""Keeps engines and leases of devices open between uses: an engine is loaded, and a board leased, once."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar


class Closable(Protocol):
    """A program that runs until it is closed."""

    def close(self) -> None:
        """End it."""
        ...


T = TypeVar("T")
R = TypeVar("R", bound=Closable)


@dataclass
class _Session:
    """The open resources by their keys; all are closed with the stack, the last one first."""

    stack: ExitStack
    opened: dict[Hashable, Any] = field(default_factory=dict)


_kept: ContextVar[_Session | None] = ContextVar("kept", default=None)


@contextmanager
def one_session() -> Iterator[None]:
    """Within this context, `kept_open` and `in_session` reuse what is open already; its end closes
    everything.
    """
    with ExitStack() as stack:
        token = _kept.set(_Session(stack))
        try:
            yield
        finally:
            _kept.reset(token)


@contextmanager
def in_session(what: Hashable, make: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """Enter the context that `make` makes; in a session it is entered once, and left at the session's end."""
    session = _kept.get()
    if session is None:
        with make() as value:
            yield value
        return
    if what not in session.opened:
        session.opened[what] = session.stack.enter_context(make())
    value = session.opened[what]
    yield value


@contextmanager
def kept_open(what: Hashable, start: Callable[[], R]) -> Iterator[R]:
    """Yield the runner that `start` makes; in a session it is made once for each key `what`."""
    with in_session(what, lambda: closing(start())) as runner:
        yield runner
