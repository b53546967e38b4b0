"""What ``flow status`` shows: the rows, and one task in detail."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from flow_core.cli._rows import HEADER, detail, line, record, results, run_time
from flow_core.cli._table import columns, is_terminal, pairs, show
from flow_core.cli._talk import say, say_which
from flow_core.cli._words import ago, stamp
from flow_core.client import Flow
from flow_core.journal import TaskRow
from flow_core.types import LIVE_STATES, Attempt, format_size

NEWEST = 20


class Status:
    """The tasks that were named, or the newest and the live ones. :meth:`update` asks the providers."""

    def __init__(self, words: Sequence[str], everything: bool) -> None:
        self.flow = Flow()
        self._everything = everything
        self._ids = [self._find(word) for word in words]
        self._unreachable: dict[str, str] = {}
        self.rows: list[TaskRow] = []

    def _find(self, word: str) -> str:
        row = self.flow.task(word).row
        say_which(word, row)
        return row.id

    @property
    def is_named(self) -> bool:
        """Whether the user named the tasks."""
        return bool(self._ids)

    @property
    def is_final(self) -> bool:
        """Whether all tasks that are shown have ended."""
        return all(row.is_final for row in self.rows)

    def update(self) -> None:
        """Ask the providers about what is live, and read the rows anew; says which profiles cannot be asked."""
        failed = {name: error.message for name, error in self.flow.refresh(self._ids or None).items()}
        for profile, message in failed.items():
            if self._unreachable.get(profile) != message:
                say(f"{profile} cannot be asked, so its tasks are shown as last seen: {message}")
        self._unreachable = failed
        self.rows = self._read()

    def _read(self) -> list[TaskRow]:
        if self._ids:
            return [self.flow.session.journal.task(task_id) for task_id in self._ids]
        if self._everything:
            return [task.row for task in self.flow.tasks(None)]
        newest = [task.row for task in self.flow.tasks(NEWEST)]
        seen = {row.id for row in newest}
        live = [task.row for task in self.flow.tasks(None, states=LIVE_STATES)]
        return [*newest, *(row for row in live if row.id not in seen)]

    def data(self) -> list[dict[str, object]]:
        """Return the rows for a program; named tasks with their attempts."""
        if self._ids:
            return [detail(self.flow, row) for row in self.rows]
        return [record(row, self._attempts(row)) for row in self.rows]

    def _attempts(self, row: TaskRow) -> list[Attempt]:
        return self.flow.session.journal.attempts(row.id)

    def show(self) -> None:
        """Print the rows, or the one task that was named in detail."""
        if len(self._ids) == 1:
            sys.stdout.write(self.text())
        else:
            show(HEADER, self.lines(relative=is_terminal()), empty="no tasks yet; try: flow run 'echo hello'")

    def lines(self, relative: bool) -> list[tuple[str, ...]]:
        """Return the cells of every row."""
        now = time.time()
        return [line(row, now, relative) for row in self.rows]

    def text(self) -> str:
        """Return the plain text: one task in detail, or the columns."""
        if len(self._ids) == 1:
            return describe(self.rows[0], self._attempts(self.rows[0]), is_terminal(), results(self.flow, self.rows[0]))
        return columns(HEADER, self.lines(relative=False))


def describe(
    row: TaskRow, attempts: Sequence[Attempt], relative: bool, kept: Mapping[str, object] | None = None
) -> str:
    """Return everything that is known of a task, one fact a line, its attempts and nodes below."""
    now = time.time()

    def at(moment: float | None) -> str:
        return f"{stamp(moment)} ({ago(moment, now)})" if relative and moment is not None else stamp(moment)

    facts = [
        ("id", row.id),
        ("name", row.name),
        ("status", row.state),
        ("exit code", "" if row.exit_code is None else str(row.exit_code)),
        ("reason", row.reason),
        ("profile", row.profile if row.profile == row.provider else f"{row.profile} ({row.provider})"),
        ("type", row.instance_type or ""),
        ("nodes", str(row.num_instances)),
        ("labels", ", ".join(f"{key}={value}" for key, value in row.labels.items())),
        ("created", at(row.created_at)),
        ("started", at(row.started_at)),
        ("ended", at(row.ended_at)),
        ("ran for", run_time(row.started_at, row.ended_at, now)),
        ("cancel asked", at(row.cancel_requested_at)),
        ("results", "" if kept is None else _kept(row, kept)),
        ("reference", row.ref or ""),
    ]
    table = columns(_NODE_HEADER, _node_lines(attempts, now)) if attempts else ""
    return pairs(facts) + (f"\n{table}" if table else "")


def _kept(row: TaskRow, kept: Mapping[str, object]) -> str:
    """Say where a task's results are."""
    note = f" ({kept['error']})" if kept["error"] else ""
    if kept["phase"] == "kept":
        return f"{kept['files']} files, {format_size(int(str(kept['bytes'])))} in {kept['store']}{note}"
    if kept["phase"] == "gone":
        return f"gone from {kept['store']}{note}"
    return (f"wait on the node for {kept['store']}" if row.is_final else f"will go to {kept['store']}") + note


_NODE_HEADER = ("ATTEMPT", "NODE", "STATUS", "EXIT", "TIME", "HOST", "REASON")


def _node_lines(attempts: Sequence[Attempt], now: float) -> list[tuple[str, ...]]:
    return [
        (
            str(attempt.number),
            str(node.rank),
            node.state,
            "" if node.exit_code is None else str(node.exit_code),
            run_time(node.started_at, node.ended_at, now),
            node.name or node.address or "",
            node.reason,
        )
        for attempt in attempts
        for node in attempt.nodes
    ]
