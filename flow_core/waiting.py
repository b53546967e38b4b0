"""The one place of waiting: retries, time bounds and the rhythm of polling."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from flow_core.errors import TransientError

T = TypeVar("T")


@attrs.define
class Backoff:
    """Seconds to wait before each next try: ``first``, then ``factor`` times more, up to ``maximum``.

    For adaptive polling, ``first`` is the provider's shortest pause and ``reset`` is called when something changed.
    """

    first: float
    maximum: float
    factor: float = 1.5
    _next: float = attrs.field(init=False, default=attrs.Factory(lambda self: self.first, takes_self=True))

    def next(self) -> float:
        """Return the seconds to wait now, and grow."""
        seconds = min(self._next, max(self.first, self.maximum))
        self._next = seconds * self.factor
        return seconds

    def reset(self) -> None:
        """Begin again at ``first``."""
        self._next = self.first


def pause(seconds: float) -> None:
    """Do nothing for ``seconds``; at once when that is 0 or less."""
    if seconds > 0:
        time.sleep(seconds)


def retry(
    call: Callable[[], T],
    *,
    tries: int = 3,
    first: float = 1.0,
    maximum: float = 60.0,
    sleep: Callable[[float], object] = pause,
) -> T:
    """Return what ``call`` returns, calling it again after a :class:`TransientError` and after nothing else.

    Waits ``first`` seconds, doubling up to ``maximum``; longer where the error's ``retry_after`` asks for it. The error
    of the last try, and one that asks for more than ``maximum`` seconds, goes to the caller.
    """
    backoff = Backoff(first, maximum, factor=2.0)
    for _ in range(tries - 1):
        try:
            return call()
        except TransientError as error:
            asked = error.retry_after or 0.0
            if asked > maximum:
                raise
            seconds = max(asked, backoff.next())
        sleep(seconds)
    return call()


def bounded(call: Callable[[], T], seconds: float, what: str) -> T:
    """Return what ``call`` returns, or raise :class:`TransientError` naming ``what`` when that takes over ``seconds``.

    The call runs in a thread of its own, with the caller's context variables. When it is late it is left to finish
    there and its outcome is dropped; the thread does not keep the process alive.
    """
    work = _Work(call)
    threading.Thread(target=work.run, name=f"flow: {what}", daemon=True).start()
    if not work.done.wait(seconds):
        raise TransientError(f"{what} has not answered within {seconds:g} s", "try again, or see `flow doctor`")
    return work.result()


class _Work(Generic[T]):
    """A call whose outcome crosses from its thread to the waiting one."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.done = threading.Event()
        self._call = call
        self._context = contextvars.copy_context()
        self._answer: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._answer.append(self._context.run(self._call))
        except BaseException as error:  # whatever it is belongs to the waiting thread, or to nobody
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # the traceback would refer to itself through this object
        return self._answer[0]
