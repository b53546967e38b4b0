"""Python functions as tasks (``docs/behaviour/functions.md``)."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from flow_core.client import Task
from flow_core.errors import TaskFailed
from flow_core.functions._invoke import Wanted, submit
from flow_core.functions._map import How, run
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.testing.shell import reachable

_CODE = """
import os

def add(one, two=1):
    return one + two

def fail(text):
    raise ValueError(text)

def pair(count):
    return (count, bytes(count))

def mark():
    os._exit(3)
"""


class FunctionContract(Contract):
    """Scenarios C01 to C05: the node has a Python, and core reaches it."""

    claims: ClassVar[frozenset[str]] = frozenset()

    def _call(self, bench: Bench, name: str, *arguments: Any) -> Task[Any]:
        (bench.work / "kit_functions.py").write_text(_CODE, encoding="utf-8")
        task = submit(bench.flow, Wanted("kit_functions.py", name), arguments, {}, {})
        bench.end(task)
        if not reachable(bench, task):
            pytest.skip(f"{self.plugin_name()} gives no access to its nodes")
        return task

    def test_c01_a_function_returns_its_value(self, bench: Bench) -> None:
        task = self._call(bench, "add", 2)
        assert (task.result(), task.exit_code) == (3, 0)

    def test_c02_an_exception_comes_back_as_it_was(self, bench: Bench) -> None:
        task = self._call(bench, "fail", "from there")
        with pytest.raises(ValueError, match="from there"):
            task.result()
        assert task.status == "failed"

    def test_c03_a_value_that_is_no_plain_data_comes_back(self, bench: Bench) -> None:
        assert self._call(bench, "pair", 3_000_000).result() == (3_000_000, bytes(3_000_000))

    def test_c04_a_process_that_ends_without_a_value_has_failed(self, bench: Bench) -> None:
        task = self._call(bench, "mark")
        with pytest.raises(TaskFailed) as caught:
            task.result()
        assert caught.value.task_exit_code == 3

    def test_c05_a_map_calls_a_function_for_each_item(self, bench: Bench) -> None:
        self._call(bench, "add", 2)
        results = run(bench.flow, Wanted("kit_functions.py", "add"), range(50), {}, How(max_workers=1))
        assert list(results) == list(range(1, 51))
