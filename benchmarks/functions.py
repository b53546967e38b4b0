"""Python functions: a call beside an interpreter that imports cloudpickle, a map beside a process pool, a large value beside ``cp``."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flow_core as flow
from benchmarks.figures import Figure, in_turns, timed
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
    value, copy = place.folder / "value", place.folder / "copy"
    value.write_bytes(bytes(_SIZE))
    found = in_turns(place.rounds(5), {"floor": lambda: _copy(value, copy), "ours": _value})
    what = "1 GiB of numpy, from made to checked and usable"
    return [Figure("value", what, "cp of it", found["floor"], found["ours"], budget=VALUE, unit="s")]


def _copy(source: Path, target: Path) -> float:
    _touch(target, bytes(_SIZE))
    seconds = run_time(["cp", str(source), str(target)])
    target.unlink()
    return seconds


def _touch(path: Path, data: Any) -> None:
    """Write a file and remove it: a virtual machine waits for its host at the first use of memory, ten times a copy."""
    path.write_bytes(data)
    path.unlink()


def _made(size: int) -> Any:
    """Return an array that says when it was there."""
    import numpy

    made = numpy.ones(size // 8)
    _touch(Path(os.environ["FLOW_TASK_DIR"]) / "touched", made)
    made[0] = time.time()
    return made


def _value() -> float:
    found = flow.invoke(_made, args=[_SIZE], stream=False)
    seconds = time.time() - float(found[0])
    if found.nbytes != _SIZE or not (found[1:] == 1.0).all():
        raise AssertionError("the value is wrong")
    for result in Path(os.environ["FLOW_HOME"]).rglob("result"):
        result.unlink()
    return seconds
