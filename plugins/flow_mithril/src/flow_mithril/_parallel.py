"""Calls that are made side by side."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE = 16


def all_at_once(calls: Sequence[Callable[[], object]]) -> list[object]:
    """Return what the calls return, made side by side."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda call: call(), calls))


def both(first: Callable[[], T], second: Callable[[], R]) -> tuple[T, R]:
    """Return what two calls return, made side by side."""
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(second)
        return first(), later.result()


def in_time(calls: Mapping[T, Callable[[], R]], seconds: float) -> dict[T, R]:
    """Return what those calls return that end in time; the others go on in threads that keep nobody waiting."""
    left, found = queue.SimpleQueue[tuple[T, Callable[[], R]]](), dict[T, R]()
    errors: list[BaseException] = []
    for item in calls.items():
        left.put(item)

    def work() -> None:
        while True:
            try:
                name, call = left.get_nowait()
            except queue.Empty:
                return
            try:
                found[name] = call()
            except Exception as error:  # whatever it is, it is for the one who asked
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_AT_ONCE, len(calls)))]
    until = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if errors:
        raise errors[0]
    return dict(found)
