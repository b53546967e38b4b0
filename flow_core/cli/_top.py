"""What ``flow top`` shows: running tasks with what they use of their nodes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from flow_core.cli._rows import run_time
from flow_core.cli._table import console, show, table
from flow_core.cli._talk import say_which
from flow_core.client import Flow
from flow_core.types import format_size

if TYPE_CHECKING:
    from flow_core.journal import TaskRow
    from flow_core.nodes import Gpu, NodeUsage

HEADER = ("ID", "NAME", "PROFILE", "CORES", "MEMORY", "PROCESSES", "GPU", "GPU-MEMORY", "TIME")
_BETWEEN = 0.5  # seconds between the two looks that tell how busy something is


@attrs.frozen
class Use:
    """One task's use of all its machines together; ``cores`` on average since the look before."""

    row: TaskRow
    machines: int
    cores: float
    cpu_seconds: float
    memory: int
    processes: int
    gpus: tuple[Gpu, ...]


class Top:
    """The running tasks, or those that were named. :meth:`look` asks their nodes."""

    def __init__(self, words: Sequence[str]) -> None:
        self.flow = Flow()
        self._ids = [self._find(word) for word in words]
        self._before: dict[str, list[NodeUsage]] = {}
        self.uses: list[Use] = []

    def _find(self, word: str) -> str:
        row = self.flow.task(word).row
        say_which(word, row)
        return row.id

    def look(self) -> None:
        """Look at everything once."""
        self.flow.refresh(self._ids or None)
        running = [task for task in self.flow.tasks(None, states=("running",)) if not self._ids or task.id in self._ids]
        found = self.flow.usage(running)
        self.uses = [_use(task.row, found[task.id], self._before.get(task.id, [])) for task in running]
        self._before = found

    def look_twice(self) -> None:
        """Look, and again a moment later: how busy something is takes two looks."""
        self.look()
        if self.uses:
            time.sleep(_BETWEEN)
            self.look()

    def data(self) -> list[dict[str, object]]:
        """Return the tasks for a program."""
        return [
            {
                "id": use.row.id,
                "name": use.row.name,
                "profile": use.row.profile,
                "machines": use.machines,
                "cores": round(use.cores, 3),
                "cpu_seconds": round(use.cpu_seconds, 3),
                "memory": use.memory,
                "processes": use.processes,
                "gpus": use.gpus,
                "started_at": use.row.started_at,
            }
            for use in self.uses
        ]

    def lines(self) -> list[tuple[str, ...]]:
        """Return the cells of every task, the busiest first."""
        now = time.time()
        return [_line(use, now) for use in sorted(self.uses, key=lambda use: -use.cores)]

    def show(self) -> None:
        """Print the tasks."""
        show(HEADER, self.lines(), empty="nothing runs")


def watch(top: Top, interval: float) -> None:
    """Keep a table up to date until Ctrl-C."""
    from rich.live import Live
    from rich.text import Text

    top.look_twice()
    with Live(console=console(), auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            lines = top.lines()
            live.update(table(HEADER, lines) if lines else Text("nothing runs"), refresh=True)
            time.sleep(interval)
            top.look()


def _use(row: TaskRow, now: Sequence[NodeUsage], before: Sequence[NodeUsage]) -> Use:
    pairs = zip(now, before, strict=True) if len(now) == len(before) else ()
    return Use(
        row,
        len(now),
        sum(after.cores_since(earlier) for after, earlier in pairs),
        sum(use.cpu_seconds for use in now),
        sum(use.memory for use in now),
        sum(use.processes for use in now),
        tuple(gpu for use in now for gpu in use.gpus),
    )


def _line(use: Use, now: float) -> tuple[str, ...]:
    return (
        use.row.id,
        use.row.name,
        use.row.profile,
        f"{use.cores:.2f}",
        format_size(use.memory),
        str(use.processes),
        _percent(use.gpus),
        _gpu_memory(use.gpus),
        run_time(use.row.started_at, use.row.ended_at, now),
    )


def _percent(gpus: Sequence[Gpu]) -> str:
    """Return each GPU with how busy it was: ``0:97% 1:95%``."""
    return " ".join(gpu.id if gpu.percent is None else f"{gpu.id}:{gpu.percent:.0f}%" for gpu in gpus)


def _gpu_memory(gpus: Sequence[Gpu]) -> str:
    used, whole = sum(gpu.used for gpu in gpus), sum(gpu.memory for gpu in gpus)
    return f"{format_size(used)} of {format_size(whole)}" if whole else ""
