"""Python functions: a call beside an interpreter that imports cloudpickle, a map beside a process pool, a large value beside ``cp``."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import flow_core as flow
from benchmarks.figures import Figure, Spread, in_turns, timed
from benchmarks.place import python_command, run_time

if TYPE_CHECKING:
    from benchmarks.place import Place

ITEMS = 10_000
CALL, MAP, VALUE = 2.5, 1 / 0.7, 2.0
_SIZE = 1 << 30  # bytes


def measure(place: Place) -> list[Figure]:
    """Return the figures; that of the large value only where numpy is."""
    call = in_turns(place.rounds(30), {"floor": _interpreter, "ours": _call}, warm_up=2)
    count = ITEMS // 5 if place.quick else ITEMS
    mapped = in_turns(3, {"floor": lambda: _pool(count), "ours": lambda: _map(count)})
    return [
        Figure("call", "invoke of a no-op, local", "import cloudpickle", call["floor"], call["ours"], budget=CALL),
        Figure("map", f"{count} no-ops", "ProcessPoolExecutor", mapped["floor"], mapped["ours"], budget=MAP, unit="s"),
        *_large(place),
    ]


def _interpreter() -> float:
    return run_time(python_command("import cloudpickle"))


def _call() -> float:
    return timed(lambda: flow.invoke(abs, args=[1], stream=False))


def _pool(count: int) -> float:
    def run() -> None:
        with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            _check(list(pool.map(abs, range(count))), count)

    return timed(run)


def _map(count: int) -> float:
    return timed(lambda: _check(list(_remote().map(range(count))), count))


def _remote() -> flow.RemoteFunction[[int], int]:
    return flow.function(abs)


def _check(found: list[int], count: int) -> None:
    if found != list(range(count)):
        raise AssertionError("a result is missing or wrong")


def _large(place: Place) -> list[Figure]:
    if find_spec("numpy") is None:
        return []
    pairs = [_value(place.folder / "copy") for _ in range(3)]
    floor, ours = (Spread(tuple(samples)) for samples in zip(*pairs, strict=True))
    return [Figure("value", "1 GiB of numpy, made and returned", "cp of it", floor, ours, budget=VALUE, unit="s")]


def _value(copy: Path) -> tuple[float, float]:
    """Return the seconds of copying a large result, and of the call that made it."""
    import numpy

    began = time.perf_counter()
    found = flow.invoke(numpy.ones, args=[_SIZE // 8], stream=False)
    ours = time.perf_counter() - began
    if found.nbytes != _SIZE or found[-1] != 1.0:
        raise AssertionError("the value is wrong")
    result = max(Path(os.environ["FLOW_HOME"]).rglob("result"), key=lambda path: path.stat().st_size)
    floor = run_time(["cp", str(result), str(copy)])
    copy.unlink()
    result.unlink()
    return floor, ours
