"""Many calls over a few workers: order, errors, memory, lost workers, killed clients."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import psutil
import pytest

import flow_core as flow
from flow_core.errors import ConfigError, ConflictError, StateError, TaskFailed
from flow_core.functions import _resume

ITEMS = """
import os, signal, sys, time
from pathlib import Path

def square(x):
    return x * x

def pid(x):
    time.sleep(0.01)
    return os.getpid()

def mind(x):
    if x == 3:
        raise ValueError("three")
    return x

def note(x):
    with open("noted", "a") as file:
        file.write("%d\\n" % x)
    return x

def slow_note(x):
    time.sleep(0.05)
    return note(x)

def first_dies(x):
    if x == 2 and not os.path.exists("died"):
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return note(x)

def always_dies(x):
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x

def leaves(x):
    sys.exit(x)

def second_try(x):
    if not os.path.exists("tried"):
        Path("tried").touch()
        raise OSError("first try")
    return x

def big(x):
    return bytes(100_000)

def waits(x):
    Path("waiting").touch()
    time.sleep(3600)

def waits_once(x):
    if x == 1 and not os.path.exists("waiting"):
        Path("waiting").touch()
        time.sleep(3600)
    return x

def later_is_sooner(x):
    time.sleep(0.3 if x == 0 else 0)
    return x
"""


@pytest.fixture(autouse=True)
def items(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "items.py").write_text(ITEMS)
    monkeypatch.syspath_prepend(str(place))
    sys.modules.pop("items", None)


def function(name: str, **fields: object) -> flow.RemoteFunction[[int], int]:
    items = import_module("items")
    return flow.function(getattr(items, name)).options(**fields)  # type: ignore[arg-type]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def noted(place: Path) -> list[int]:
    path = place / "noted"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(function("later_is_sooner").map(range(50))) == list(range(50))


def test_unordered_results_come_as_they_are_done() -> None:
    found = list(function("later_is_sooner").map(range(20), ordered=False, max_workers=2))
    assert sorted(found) == list(range(20))
    assert found[-1] == 0


def test_starmap_spreads_the_arguments() -> None:
    assert list(flow.function(pow).starmap([(2, 3), (3, 2)])) == [8, 9]


def test_a_worker_serves_many_items() -> None:
    assert len(set(function("pid").map(range(40), max_workers=2))) == 2
    assert [task.status for task in flow.tasks()] == ["succeeded", "succeeded"]


def test_no_more_workers_than_items_are_started() -> None:
    assert list(function("square").map([3], max_workers=8)) == [9]
    assert len(flow.tasks()) == 1


def test_no_items_start_nothing() -> None:
    assert list(function("square").map([])) == []
    assert flow.tasks() == []


def test_closures_are_mapped() -> None:
    offset = 5
    assert list(flow.function(lambda x: x + offset).map(range(3))) == [5, 6, 7]


def test_an_error_is_raised_at_its_turn_and_ends_the_map() -> None:
    results = function("mind").map(itertools.count(), max_workers=1)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    until(lambda: all(task.status in ("cancelled", "failed", "succeeded") for task in flow.tasks()))


def test_errors_can_be_had_as_values() -> None:
    found = list(function("mind").map(range(5), return_exceptions=True))
    assert [type(value) for value in found] == [int, int, int, ValueError, int]


def test_sys_exit_ends_one_item_only() -> None:
    found = list(function("leaves").map([1, 0], return_exceptions=True, max_workers=1))
    assert [str(value) for value in found] == [f"leaves ended its process with sys.exit({code})" for code in (1, 0)]


def test_an_item_that_failed_is_tried_again() -> None:
    assert list(function("second_try", retries=1).map([7])) == [7]


def test_an_endless_iterable_is_taken_as_it_is_needed() -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        while True:
            yield taken
            taken += 1

    results = function("square").map(numbers())
    assert [next(results) for _ in range(3000)] == [x * x for x in range(3000)]
    results.close()
    assert taken < 3000 + 3 * 2048


def test_ending_the_iteration_cancels_the_workers() -> None:
    results = function("pid").map(itertools.count(), max_workers=2)
    next(results)
    results.close()
    tasks = flow.tasks()
    for task in tasks:
        task.wait(20)
    assert [task.status for task in tasks] == ["cancelled", "cancelled"]


def test_a_worker_that_somebody_cancels_is_a_lost_one(place: Path) -> None:
    with ThreadPoolExecutor() as pool:
        result = pool.submit(lambda: next(function("waits").map([1])))
        until((place / "waiting").exists)
        flow.tasks()[0].cancel(0.0)
        with pytest.raises(TaskFailed, match=r"item 0: its worker \S+ cancelled"):
            result.result(20)


def test_the_client_holds_few_results_at_a_time() -> None:
    results = function("big").map(range(2000), max_workers=2)
    next(results)
    tracemalloc.start()
    try:
        for count, _ in enumerate(results):
            if count == 400:
                tracemalloc.reset_peak()
                early = tracemalloc.get_traced_memory()[1]
        assert tracemalloc.get_traced_memory()[1] < max(2 * early, 150 << 20)
    finally:
        tracemalloc.stop()


def test_a_killed_workers_items_are_done_by_another(place: Path) -> None:
    assert list(function("first_dies", retries=1).map(range(6), max_workers=1)) == list(range(6))
    assert sorted(noted(place)) == list(range(6))


def test_an_item_that_kills_its_worker_is_named() -> None:
    with pytest.raises(TaskFailed, match=r"item 2: its worker t\S+ failed: .*(?i:kill)"):
        list(function("always_dies").map(range(4), max_workers=1))


def test_the_others_items_go_on_when_one_kills_its_worker() -> None:
    found = list(function("always_dies").map(range(6), return_exceptions=True))
    assert [type(value) for value in found] == [int, int, TaskFailed, int, int, int]


def test_a_function_that_cannot_be_loaded_ends_the_map(place: Path) -> None:
    square = function("square")
    (place / "items.py").write_text("import no_such_module_at_all\n")
    with pytest.raises(TaskFailed, match="No module named 'no_such_module_at_all'"):
        list(square.map(range(3)))


def test_an_item_that_cannot_be_pickled_is_named() -> None:
    import threading

    with pytest.raises(ConfigError, match="item 0 cannot be sent"):
        list(function("square").map([threading.Lock()]))


def test_workers_are_single_processes() -> None:
    with pytest.raises(ConfigError, match="is one process"):
        function("square", num_instances=2).map([1])
    with pytest.raises(ConfigError, match="max_workers is 0"):
        function("square").map([1], max_workers=0)


CLIENT = """
import sys
sys.path.insert(0, ".")
import flow_core as flow, items
for value in flow.function(items.slow_note).map(range(60), resume="night", max_workers=2):
    print(value, flush=True)
"""


def client() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE, text=True)


def test_a_killed_clients_map_goes_on_where_it_was(place: Path) -> None:
    with client() as first:
        assert first.stdout is not None
        for _ in range(15):
            first.stdout.readline()
        first.kill()
    with client() as second:
        out, _ = second.communicate(timeout=60)
    assert out.split() == [str(x) for x in range(60)]
    assert sorted(noted(place)) == list(range(60))  # each once


def test_a_worker_that_an_earlier_run_left_at_a_long_item_is_waited_for_only_so_long(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = CLIENT.replace("slow_note", "waits_once").replace("range(60)", "[1, 2]")
    with subprocess.Popen([sys.executable, "-c", code]) as first:
        until((place / "waiting").exists)
        first.kill()
    monkeypatch.setattr(_resume, "_AT_HAND", 0.5)

    assert list(function("waits_once").map([1, 2], resume="night")) == [1, 2]
    assert {task.status for task in flow.tasks(None)} == {"succeeded", "cancelled"}


def test_a_map_that_is_done_is_read_again(place: Path) -> None:
    assert list(function("note").map(range(5), resume="once")) == list(range(5))
    tasks = len(flow.tasks(None))
    assert list(function("note").map(range(5), resume="once")) == list(range(5))
    assert (len(noted(place)), len(flow.tasks(None))) == (5, tasks)


def test_more_items_under_the_same_name_are_done_too(place: Path) -> None:
    list(function("note").map(range(5), resume="more"))
    assert list(function("note").map(range(8), resume="more")) == list(range(8))
    assert sorted(noted(place)) == list(range(8))


def test_an_item_that_is_another_than_before_is_done(place: Path) -> None:
    list(function("note").map([1, 2], resume="other"))
    assert list(function("note").map([1, 3], resume="other")) == [1, 3]
    assert sorted(noted(place)) == [1, 2, 3]


def test_a_failed_item_is_tried_again_by_the_next_run() -> None:
    with pytest.raises(OSError, match="first try"):
        list(function("second_try").map([7], resume="again"))
    assert list(function("second_try").map([7], resume="again")) == [7]


def test_a_name_is_one_functions() -> None:
    list(function("square").map([1], resume="mine"))
    with pytest.raises(ConflictError, match="the map mine is one of square"):
        list(function("mind").map([1], resume="mine"))


def test_two_processes_are_not_at_one_map_together(place: Path) -> None:
    with client() as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConflictError, match="another process is at the map night"):
            list(function("slow_note").map(range(60), resume="night"))
        other.communicate(timeout=60)


def test_a_damaged_record_of_a_worker_is_no_value(place: Path) -> None:
    list(function("note").map(range(5), resume="hurt", max_workers=1))
    (outbox,) = Path(os.environ["FLOW_HOME"]).rglob("outbox")
    whole = bytearray(outbox.read_bytes())
    whole[whole.index(b'"kind":"value"')] ^= 1
    outbox.write_bytes(whole)
    with pytest.raises(StateError, match="is damaged"):
        list(function("note").map(range(5), resume="hurt"))


def test_a_named_map_goes_on_from_the_store_when_its_machines_are_gone(place: Path) -> None:
    home = Path(os.environ["FLOW_HOME"])
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text("profiles:\n  local: {result_store: folder}\n")
    with client() as first:
        assert first.stdout is not None
        for _ in range(15):
            first.stdout.readline()
        first.send_signal(signal.SIGINT)
    workers = {task.id for task in flow.tasks(None) if task.wait() or True}
    store = flow.Flow().result_store("folder")
    until(lambda: {info.key.split("/")[1] for info in store.list("tasks/")} == workers)
    (home / "state" / "local" / "done").rename(home / "gone")
    assert len(noted(place)) >= 15
    with client() as second:
        out, _ = second.communicate(timeout=60)
    assert out.split() == [str(x) for x in range(60)]
    assert len(noted(place)) <= 60 + 2  # but what the workers were at when they were stopped


def test_a_workers_torn_last_record_is_done_again(place: Path) -> None:
    list(function("note").map(range(5), resume="torn", max_workers=1))
    (outbox,) = Path(os.environ["FLOW_HOME"]).rglob("outbox")
    outbox.write_bytes(outbox.read_bytes()[:-70])
    assert list(function("note").map(range(5), resume="torn")) == list(range(5))
    assert noted(place) == [0, 1, 2, 3, 4, 4]


def test_an_interrupt_cancels_the_workers(place: Path) -> None:
    code = "import sys; sys.path.insert(0, '.')\nimport flow_core as flow, items\nlist(flow.function(items.waits).map([1]))"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as other:
        until((place / "waiting").exists)
        other.send_signal(signal.SIGINT)
        other.wait(20)
    assert other.returncode != 0
    (task,) = flow.tasks()
    task.wait(20)
    assert task.status == "cancelled"


def test_workers_whose_client_is_gone_leave(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\nimport flow_core as flow, items\nfrom flow_core.functions import _map\n"
        "_map._IDLE = 0.5\nfor value in flow.function(items.square).map(range(3)): print(value, flush=True); import time; time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
    for task in flow.tasks():
        assert task.wait(20) == 0


def test_no_process_is_left(place: Path) -> None:
    pids = set(function("pid").map(range(4)))
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
