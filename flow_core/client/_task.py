"""The handle of a submitted task."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic

from flow_core.client._exit import exit_status
from flow_core.client._logs import STREAMS, read_log, sleep
from flow_core.client._reach import config_of, open_nodes
from flow_core.client._refresh import CANCEL_REQUESTED, refresh
from flow_core.client._session import Session
from flow_core.errors import (
    ConfigError,
    FlowError,
    NotFoundError,
    TaskFailed,
    UnavailableError,
)
from flow_core.types import FINAL_STATES, Attempt, LogChunk, LogCursor, TaskRef, parse_ref

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from flow_core.client._forward import Way
    from flow_core.client._kept import Artifact
    from flow_core.faces import Provider
    from flow_core.journal import TaskRow
    from flow_core.secrets import Redactor
    from flow_core.types import ShellSession, TaskConfig

    R_co = TypeVar("R_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    R_co = TypeVar("R_co", covariant=True)

_LATE_SECONDS = 0.6


def _passed(deadline: Callable[[], float | None], early: float = 0.0) -> Callable[[], bool]:
    def passed() -> bool:
        limit = deadline()
        return limit is not None and time.monotonic() >= limit - early

    return passed


def _find_again(task_id: str) -> Task[Any]:
    session = Session()
    return Task(session, session.journal.find(task_id))


class Task(Generic[R_co]):
    """A submitted task. It outlives this object and this process; :meth:`Flow.task` finds it again.

    ``R_co`` is what the function returns that it calls.
    """

    def __init__(self, session: Session, row: TaskRow) -> None:
        self._session = session
        self._row = row
        self._trouble = ""  # why the provider could not be asked the last time

    def __repr__(self) -> str:
        return f"<Task {self.id} {self.name!r} {self._row.state}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process find the task again by its id, in the environment that it has."""
        if self._session.environ is not os.environ:
            raise TypeError(f"{self.id} belongs to a client with an environment of its own: send its id instead")
        return _find_again, (self.id,)

    @property
    def id(self) -> str:
        """The id: sorts by age."""
        return self._row.id

    @property
    def name(self) -> str:
        """The name: config's, else made from the command."""
        return self._row.name

    @property
    def row(self) -> TaskRow:
        """What the journal holds, as of the last refresh."""
        return self._row

    @property
    def config(self) -> TaskConfig:
        """What was asked for."""
        return config_of(self._row)

    def refresh(self) -> TaskRow:
        """Ask the provider, unless the end is known, and return what the journal then holds."""
        if not self.is_final or self._row.state == "lost":
            failed = refresh(self._session, [self.id])
            self._trouble = "".join(
                f"; {profile} cannot be asked: {error.message}" for profile, error in failed.items()
            )
            self._row = self._session.journal.task(self.id)
        return self._row

    @property
    def is_final(self) -> bool:
        """Whether the end is known; asks nobody."""
        return self._row.state in FINAL_STATES

    @property
    def status(self) -> str:
        """The state now: pending, provisioning, running, succeeded, failed, cancelled, timed_out, preempted or lost."""
        return self.refresh().state

    @property
    def exit_code(self) -> int | None:
        """The exit code (128 + N for signal N), or None while there is none."""
        return self.refresh().exit_code

    @property
    def reason(self) -> str:
        """One line on why it is in its state."""
        return self.refresh().reason

    @property
    def attempts(self) -> list[Attempt]:
        """The tries so far, each with its nodes."""
        self.refresh()
        return self._session.journal.attempts(self.id)

    def wait(self, timeout: float | None = None, check: bool = False) -> int:
        """Wait for the end and return the exit status (see :func:`exit_status`).

        Raises TimeoutError after ``timeout`` seconds (the task goes on), TaskLostError, and with ``check`` TaskFailed when
        the task did not succeed.
        """
        limit = None if timeout is None else time.monotonic() + timeout
        return self.wait_until(lambda: limit, check)

    def wait_until(self, deadline: Callable[[], float | None], check: bool = False) -> int:
        """As :meth:`wait`, with a deadline (monotonic) that may move while it waits; it is looked at four times a second."""
        from flow_core.client._keeping import carry

        # Final by its exit record, it may still be tidied up: where that costs nothing, it is waited for.
        if not self.is_final or self._is_near():
            self._until_told(deadline)
            self._until_final(deadline)
            carry(self._session, self.id)
        if check and self._row.state != "succeeded":
            raise TaskFailed(f"{self.id} {self._row.state}: {self._row.reason}", task_exit_code=self._row.exit_code)
        return exit_status(self._row)

    @property
    def needs_hand_over(self) -> bool:
        """Whether the provider may still need this client for the task's files (see :meth:`hand_over`)."""
        from flow_core.client._hand_over import needs_client

        return self._session.provider(self._row.profile).facts.attended and needs_client(self._session, self._row)

    def hand_over(self, closed: Callable[[], bool] = lambda: False) -> bool:
        """Stay until the provider needs this client no more: the task's machine has its files, or it has ended.

        Polls while ``closed`` does not say that nobody waits any more; False when it said so. Any command that asks for
        the task's status goes on where this left off.
        """
        from flow_core.client._hand_over import hand_over

        return hand_over(self._session, [self], closed)

    def _is_near(self) -> bool:
        try:
            return self._session.provider(self._row.profile).facts.prompt
        except FlowError:  # it is no longer installed, or set up: the journal knows the end
            return False

    def _until_told(self, deadline: Callable[[], float | None]) -> None:
        """Wait for the nodes to tell the end; they may answer so much late, and what is left is for polling."""
        passed = _passed(deadline, early=_LATE_SECONDS)
        if not passed():
            for _ in read_log(self._session, self.id, LogCursor(), True, streams=(), closed=passed):
                pass

    def _until_final(self, deadline: Callable[[], float | None]) -> None:
        """Poll the provider until the end; at once where the nodes have told it."""
        from flow_core.waiting import Backoff

        facts, passed = self._session.provider(self._row.profile).facts, _passed(deadline)
        backoff = Backoff(min(facts.min_poll_seconds, 1.0), 30.0)
        while not self.refresh().is_final:
            if passed():
                raise TimeoutError(f"{self.id} is still {self._row.state}{self._trouble}")
            limit = deadline()
            left = math.inf if limit is None else limit - time.monotonic()
            sleep(min(backoff.next(), left), passed)

    def result(self, timeout: float | None = None, trusted: bool = True) -> R_co:
        """Wait for the end of a function and return its value, or raise the exception that it raised.

        Raises TimeoutError after ``timeout`` seconds (the task goes on), :class:`~flow_core.RemoteError` for an exception
        whose type is not known here, TaskFailed when its process ended without a value, StateError when the value is
        damaged, CapabilityError when it cannot be read here, or is a pickle and ``trusted`` is false. Of several nodes it is
        that of rank 0.
        """
        from flow_core.client._result import result

        self._of_function()
        self.wait(timeout)
        value: R_co = result(self._session, self._row, self.config, trusted)
        return value

    def _of_function(self) -> None:
        if self.config.function is None:
            raise ConfigError(f"{self.id} runs a command, which has no value", "see its exit_code and its logs")

    def cancel(self, grace: float | None = None) -> bool:
        """End the task: stop signal, ``grace`` seconds (default: the config's), then by force. False when it had ended."""
        if self.refresh().state in FINAL_STATES:
            return False
        journal, seconds = self._session.journal, self.config.grace if grace is None else grace
        journal.add_event(CANCEL_REQUESTED, self.id, {"grace": str(seconds)})
        journal.request_cancel(self.id, time.time())
        if self._row.ref is None:
            refresh(self._session, [self.id])
            return True
        ref = parse_ref(self._row.ref)[2]
        going = self._session.provider(self._row.profile).cancel(ref, seconds)
        self.refresh()
        return going

    def logs(
        self,
        follow: bool = False,
        cursor: LogCursor | None = None,
        ranks: Collection[int] | None = None,
        streams: Collection[str] = STREAMS,
        deadline: float | None = None,
        tail: int | None = None,
        since: float | None = None,
    ) -> Iterator[LogChunk]:
        """Yield the log as bytes from ``cursor`` on; with ``follow`` until the end, or until ``deadline`` (monotonic).

        Instead of a cursor: the last ``tail`` lines of each stream, of what was written at ``since`` (UTC seconds) or later.
        """
        if tail is None and since is None:
            return self.read(follow, cursor, ranks, streams, lambda: deadline)
        from flow_core.client._tail import read_end

        return read_end(self._session, self.id, follow, tail, since, ranks, streams, _passed(lambda: deadline))

    def read(
        self,
        follow: bool,
        cursor: LogCursor | None,
        ranks: Collection[int] | None,
        streams: Collection[str],
        deadline: Callable[[], float | None],
    ) -> Iterator[LogChunk]:
        """As :meth:`logs`, with a deadline that may move while it is read; it is looked at about once a second."""
        start = LogCursor() if cursor is None else cursor
        return read_log(self._session, self.id, start, follow, ranks, streams, _passed(deadline))

    def stream(
        self,
        out: BinaryIO | None = None,
        err: BinaryIO | None = None,
        follow: bool = True,
        redact: bool = True,
        deadline: Callable[[], float | None] = lambda: None,
    ) -> None:
        """Copy the log to ``out`` and ``err`` until the end, byte for byte; values of the task's own secrets become ``***``.

        Default: this process's stdout and stderr. ``deadline``: as for :meth:`read`.
        """
        from flow_core.client._output import copy, standard_streams

        chunks, own = self.read(follow, None, None, STREAMS, deadline), standard_streams()
        copy(chunks, out or own[0], err or own[1], self.redactor() if redact else None)

    def redactor(self) -> Redactor:
        """Return what masks the values of the task's own secrets.

        Raises ConfigError when one is not known here: no value that was delivered is kept, so it could not be masked.
        """
        from flow_core.secrets import Redactor, find

        found = {ref.name: find(ref.name, self._session.secret_stores) for ref in self.config.secrets}
        if missing := ", ".join(sorted(name for name, secret in found.items() if secret is None)):
            hint = "set it in the environment or keep it with `flow secret set`; --no-redact shows the log as it is"
            raise ConfigError(f"{missing} cannot be masked in the log of {self.id}: its value is not known here", hint)
        return Redactor(secret for secret in found.values() if secret is not None)

    @property
    def ready(self) -> bool:
        """Whether it runs and all its nodes are ready: as their health check says, or by running where none was asked for."""
        if self.refresh().state != "running":
            return False
        attempts = self._session.journal.attempts(self.id)
        return bool(attempts) and all(node.ready for node in attempts[-1].nodes)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the task is :attr:`ready`.

        Raises TimeoutError after ``timeout`` seconds (the task goes on), TaskFailed when it ends before.
        """
        from flow_core.waiting import Backoff

        deadline = math.inf if timeout is None else time.monotonic() + timeout
        backoff = Backoff(min(self._session.provider(self._row.profile).facts.min_poll_seconds, 1.0), 2.0)
        while not self.ready:
            if self.is_final:
                message = f"{self.id} ended before it was ready ({self._row.state}: {self._row.reason})"
                raise TaskFailed(message, f"flow logs {self.id}", task_exit_code=self._row.exit_code)
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError(f"{self.id} is not ready")
            time.sleep(min(backoff.next(), left))

    def forward(self, port: int | str, rank: int = 0) -> tuple[str, int]:
        """Return the (host, port) of this machine that leads to the node's ``port``: a number, or a name of its ``ports``.

        Raises NotFoundError when no port has that name, UnavailableError when the task does not run.
        """
        way = self.way(port, rank)
        return way.host, way.port

    def way(self, port: int | str, rank: int = 0) -> Way:
        """As :meth:`forward`, with whether the address outlasts this process."""
        from flow_core.client._forward import find_way

        provider, ref = self._on_node(rank)
        if self._row.state != "running":
            raise UnavailableError(f"{self.id} is {self._row.state}: nothing listens there", "wait until it runs")
        return find_way(provider, ref, self.config, rank, port)

    @property
    def artifacts(self) -> list[Artifact]:
        """What it kept of its ``outputs``, by path. Raises UnavailableError before its end, NotFoundError when it is gone."""
        from flow_core.client._kept import artifacts

        return artifacts(self._session, self.refresh())

    @property
    def missing_outputs(self) -> list[str]:
        """The ``outputs`` that no file of any node matches; raises as :attr:`artifacts`."""
        from flow_core.client._kept import missing

        return missing(self._session, self.refresh())

    def remove_kept(self) -> bool:
        """Remove all that it kept from its store; False when there was nothing. Its bytes go with the next :meth:`Flow.gc`.

        Raises UnavailableError while it is on its way there.
        """
        from flow_core.client._sweep import remove

        return remove(self._session, self.refresh())

    def kept(self, kind: str, path: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes of one thing that it kept from ``offset`` on, from its node or its store: ``("result", "result")``.

        Raises NotFoundError when there is none.
        """
        from flow_core.client._kept import read_kept

        return read_kept(self._session, self.refresh(), kind, path, offset)

    def exec(self, command: Collection[str], rank: int = 0, tty: bool = False) -> ShellSession:
        """Say how to run ``command`` beside the running task, with its environment: a local command line to start."""
        provider, ref = self._on_node(rank)
        for node, _ in open_nodes(provider, ref, [rank]):
            return node.exec(rank, tuple(command), tty)
        return provider.shell_exec(ref, rank, tuple(command), tty)

    def get(self, path: str, target: Path, rank: int = 0) -> int:
        """Copy a node's file to ``target``, by rename; return its size in bytes."""
        provider, ref = self._on_node(rank)
        for node, _ in open_nodes(provider, ref, [rank]):
            return node.get(path, target)
        from flow_core.client._output import write_file

        return write_file(target, provider.get_file(ref, rank, path))

    def put(self, source: Path, path: str, rank: int = 0) -> int:
        """Copy the file ``source`` to a node; return its size in bytes."""
        provider, ref = self._on_node(rank)
        for node, _ in open_nodes(provider, ref, [rank]):
            return node.put(source, path)
        with source.open("rb") as file:
            mode = source.stat().st_mode & 0o777
            return provider.put_file(ref, rank, path, mode, iter(lambda: file.read(1 << 20), b""))

    def _on_node(self, rank: int) -> tuple[Provider, TaskRef]:
        row = self.refresh()
        if not 0 <= rank < row.num_instances:
            raise NotFoundError(f"{self.id} has no node {rank}", f"its nodes are 0 to {row.num_instances - 1}")
        if row.ref is None:
            raise UnavailableError(f"{self.id} is {row.state} and not on any machine yet", "wait until it runs")
        return self._session.provider(row.profile), parse_ref(row.ref)[2]
