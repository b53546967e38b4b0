"""A node that is reached by ssh."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from functools import partial
from stat import S_IMODE
from typing import IO, TYPE_CHECKING, Any

from flow_core.errors import ConfigError, FlowError, NotFoundError, StateError, TransientError
from flow_core.nodes import _files, _logs, _remote
from flow_core.nodes._cursor import STREAMS, from_offsets, to_offsets
from flow_core.nodes._host import REFUSED, SshHost, words
from flow_core.nodes._report import parse_report
from flow_core.nodes._usage import NodeUsage, parse_usage
from flow_core.runner import bundle, reader
from flow_core.types import LogChunk, LogCursor, NodeAccess, ShellSession, TaskReport

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path


class SshNode:
    """Does everything through one shared connection and the runner, which is put on the node at the first need."""

    def __init__(self, access: NodeAccess, state: Path) -> None:
        self._folder = access.path
        self._machine = SshHost(access, state)
        self._host, self._archive = self._machine.name, self._machine.archive
        self._connection = self._machine.connection
        self._forwards: list[tuple[int, int]] = []

    def report(self) -> TaskReport | None:
        """See :meth:`Node.report`."""
        try:
            return parse_report(json.loads(self._ask("status").stdout))
        except NotFoundError:
            return None

    def usage(self) -> NodeUsage | None:
        """See :meth:`Node.usage`."""
        try:
            return parse_usage(json.loads(self._ask("usage").stdout))
        except NotFoundError:
            return None

    def read(
        self,
        cursor: LogCursor,
        follow: bool = False,
        ranks: Collection[int] | None = None,
        streams: Collection[str] = STREAMS,
        closed: Callable[[], bool] | None = None,
    ) -> Iterator[LogChunk]:
        """See :meth:`Node.read`. After a cut it goes on at the same byte; TransientError after five vain tries."""
        words = [word for stream in streams or ("none",) for word in ("--stream", stream)]
        words += [word for rank in ranks or () for word in ("--rank", str(rank))]
        start = partial(self._start_reading, "follow" if follow else "once", words)
        return _logs.read(start, self._explain, cursor, closed)

    def tail(self, lines: int) -> LogCursor:
        """See :meth:`Node.tail`."""
        return self._cursor("tail", str(lines))

    def since(self, moment: float) -> LogCursor:
        """See :meth:`Node.since`."""
        return self._cursor("since", repr(moment))

    def cancel(self, grace_seconds: float) -> bool:
        """See :meth:`Node.cancel`."""
        report = self.report()
        if report is None:
            raise self._machine.missing(self._folder)
        return not report.is_final and self._ask("cancel", repr(grace_seconds), fine=(0, 1)).returncode == 0

    def signal(self, name: str) -> None:
        """See :meth:`Node.signal`."""
        try:
            bundle.signal_number(name)
        except ValueError as error:
            raise ConfigError(str(error), "name it as INT, USR1 or TERM") from error
        self._ask("signal", name, fine=(0, 1))

    def exec(self, rank: int, argv: Sequence[str], tty: bool = False) -> ShellSession:
        """See :meth:`Node.exec`. It exits with 255 when the connection is cut."""
        self._machine.install()
        remote = _remote.attach(self._archive, self._folder, "exec", str(rank), "--", *argv)
        flags = ("-t",) if tty else ("-T", "-e", "none")
        return ShellSession(tuple(self._connection.argv(remote, *flags)), {"SSH_ASKPASS_REQUIRE": "never"})

    def put(self, source: Path, target: str) -> int:
        """See :meth:`Node.put`."""
        place = target if target.startswith("/") else self._ask("path", target).stdout.decode().rstrip("\n")
        with _opened(source) as (file, mode, size):
            self._send(file, _remote.put(self._folder, place, mode, size), target)
        return size

    def get(self, source: str, target: Path) -> int:
        """See :meth:`Node.get`; the copy is not executable."""
        self._machine.install()
        return _files.receive(target, lambda out: self._get(source, out))

    def kept(self) -> Mapping[str, Any]:
        """See :meth:`Node.kept`."""
        found: dict[str, Any] = json.loads(self._ask("kept").stdout)
        return found

    def read_kept(self, kind: str, path: str, offset: int = 0) -> Iterator[bytes]:
        """See :meth:`Node.read_kept`."""
        self._machine.install()
        remote = _remote.run(self._archive, self._folder, "kept", kind, path, str(offset))
        with tempfile.TemporaryFile() as errors:
            process = self._connection.start(remote, errors)
            yield from _logs.behind_greeting(process)
            errors.seek(0)
            said = errors.read()
        if process.returncode == REFUSED:
            raise NotFoundError(f"there is no {kind} {path} on {self._host}: {words(said)}", "run the task again")
        if process.returncode:
            raise self._explain(process.returncode, said) or TransientError(
                f"the runner on {self._host} has gone", "try again"
            )

    def resume_upload(self, tickets: bytes | None = None) -> None:
        """See :meth:`Node.resume_upload`."""
        if tickets is not None:
            self._connection.run(_remote.put(self._folder, "control/tickets.json", 0o600, len(tickets)), tickets)
        self._ask("upload", "detach")

    def deliver(self, name: str, data: bytes) -> None:
        """See :meth:`Node.deliver`."""
        self._send(data, _remote.put(self._folder, name, 0o600, len(data)), name)

    def ports(self, rank: int) -> Mapping[str, int]:
        """See :meth:`Node.ports`."""
        found: dict[str, int] = json.loads(self._ask("ports", str(rank)).stdout)
        return found

    def forward(self, port: int) -> tuple[str, int]:
        """See :meth:`Node.forward`; it ends with :meth:`close` or the connection."""
        host, local = self._connection.forward(port)
        self._forwards.append((local, port))
        return host, local

    def close(self) -> None:
        """See :meth:`Node.close`. The connection itself ends 60 s after its last use by any process."""
        while self._forwards:
            self._connection.stop_forward(*self._forwards.pop())

    def _start_reading(
        self, how: str, words: Sequence[str], cursor: LogCursor, errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        place = reader.write_cursor(to_offsets(cursor))
        return self._connection.start(_remote.run(self._archive, self._folder, "read", place, how, *words), errors)

    def _explain(self, code: int, said: bytes) -> FlowError | None:
        return self._machine.explain(code, said, self._folder)

    def _ask(self, *words: str, fine: Collection[int] = (0,)) -> subprocess.CompletedProcess[bytes]:
        return self._machine.ask(self._folder, *words, fine=fine)

    def _cursor(self, how: str, value: str) -> LogCursor:
        answer = self._machine.answer(_remote.cursor(self._archive, self._folder, how, value), self._folder)
        return from_offsets(reader.parse_cursor(answer.stdout.decode()))

    def _send(self, data: IO[bytes] | bytes, remote: str, target: str) -> None:
        done = self._connection.run(remote, data, seconds=None)
        if done.returncode == _remote.INCOMPLETE:
            raise TransientError(f"{target} arrived incomplete on {self._host}; nothing was written", "try again")
        if done.returncode:
            raise StateError(
                f"cannot write {target} on {self._host}: {words(done.stderr)}", "check the folder and its free space"
            )

    def _get(self, source: str, out: IO[bytes]) -> None:
        remote = _remote.run(self._archive, self._folder, "get", source)
        with tempfile.TemporaryFile() as errors:
            code = _logs.drain(self._connection.start(remote, errors), out.write)
            errors.seek(0)
            said = errors.read()
        if code == REFUSED:
            raise NotFoundError(f"there is no file {source} on {self._host}: {words(said)}", "name a file that exists")
        if code:
            raise self._explain(code, said) or TransientError(f"the runner on {self._host} has gone", "try again")


@contextmanager
def _opened(source: Path) -> Iterator[tuple[IO[bytes], int, int]]:
    """Yield the file with its mode and size."""
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(f"cannot read {source}: {error.strerror}", "name a file that exists") from error
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        yield file, S_IMODE(found.st_mode), found.st_size
