"""Following a task: its bytes to the terminal, signals to a choice, its end to an exit status."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from flow_core.cli._interrupts import Interrupted, Interrupts
from flow_core.cli._invocation import TaskStatus
from flow_core.cli._talk import ending, quoted, say, say_missing
from flow_core.client import exit_status

if TYPE_CHECKING:
    from flow_core.cli._printer import Printer
    from flow_core.client import Task

SECOND_CHANCE = 2.0  # seconds after the first signal in which a second one cancels


class Attached:
    """Follows ``task`` until its end, or until the user leaves it; ``quiet`` leaves out what nobody asked for."""

    def __init__(self, task: Task, printer: Printer, interrupts: Interrupts, quiet: bool = False) -> None:
        self._task, self._printer, self._interrupts, self._quiet = task, printer, interrupts, quiet

    def follow(self, interrupted: int | None = None) -> int:
        """Print the log until the end and return the status to exit with; ``interrupted``: a signal before."""
        while True:
            try:
                if interrupted is not None:
                    number, interrupted = interrupted, None
                    raise Interrupted(number)
                self._copy()
                self._task.wait()
                return self._ended()
            except Interrupted as signal_:
                left = self._interrupted(signal_.number)
                if left is not None:
                    return left
            except BrokenPipeError:
                if not self._quiet:
                    say(f"nobody reads any more; {quoted(self._task.row)} goes on {_how_to_go_on(self._task)}")
                raise

    def _copy(self) -> None:
        for chunk in self._task.logs(follow=True, cursor=self._printer.cursor):
            with self._interrupts.held():
                self._printer.write(chunk)
        with self._interrupts.held():
            self._printer.finish()

    def _ended(self) -> int:
        row = self._task.refresh()
        if row.state != "succeeded" and not self._quiet:
            say(ending(row))
        if not self._quiet:
            say_missing(self._task)
        return TaskStatus(exit_status(row))

    def _interrupted(self, number: int) -> int | None:
        """Return the status to leave with, or None to go on following."""
        try:
            if number == signal.SIGINT and sys.stdin.isatty() and sys.stderr.isatty():
                return self._ask(number)
            return self._leave(number)
        except Interrupted:
            self._cancel()
            return 128 + number

    def _leave(self, number: int) -> int:
        """Detach; a second signal that comes at once cancels."""
        if number == signal.SIGHUP:
            return 128 + number
        say(f"detached; {quoted(self._task.row)} goes on {_how_to_go_on(self._task)}")
        if self._interrupts.another(SECOND_CHANCE):
            self._cancel()
        return 128 + number

    def _ask(self, number: int) -> int | None:
        answer = choice(f"\nflow: {quoted(self._task.row)}: (d)etach, (c)ancel, (r)esume following? ")
        if answer == "c":
            self._cancel()
            return None
        if answer == "r":
            return None
        say(f"{quoted(self._task.row)} goes on {_how_to_go_on(self._task)}")
        return 128 + number

    def _cancel(self) -> None:
        going = self._task.cancel()
        say(f"cancelling {quoted(self._task.row)}" if going else f"{quoted(self._task.row)} had ended")


def _how_to_go_on(task: Task) -> str:
    return f"(flow logs -f {task.id}, flow cancel {task.id})"


def choice(question: str) -> str:
    """Return the letter a person chose: d, c or r; what cannot be read is d, Ctrl-C again is c."""
    while True:
        try:
            sys.stderr.write(question)
            sys.stderr.flush()
            line = sys.stdin.readline()
        except Interrupted as error:
            if error.number != signal.SIGINT:
                raise
            sys.stderr.write("\n")
            return "c"
        word = line.strip().lower()[:1]
        if not line or word in ("d", "c", "r"):
            return word or "d"
