"""One Flow home with the plugin under test in it, and what scenarios do there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flow_core.client import Flow, Task
from flow_core.errors import FlowError
from flow_core.types import LIVE_STATES, LogChunk, Submission, TaskRef, TaskReport, new_request_id, parse_ref
from flow_core.waiting import bounded

if TYPE_CHECKING:
    from flow_core.faces import Provider

T = TypeVar("T")


class Bench:
    """The client of a test: ``home`` is its Flow home, ``work`` its folder, ``patience`` seconds the longest wait."""

    def __init__(self, home: Path, patience: float) -> None:
        self.home = home
        self.work = home / "work"
        self.patience = patience
        self.work.mkdir(exist_ok=True)
        self.flow = self.client()
        self._ordered: list[str] = []

    def client(self) -> Flow:
        """Return a client that knows nothing yet, as a new process's."""
        return Flow(cwd=self.work)

    @property
    def provider(self) -> Provider:
        """The opened provider."""
        return self.flow.provider()

    @property
    def stdout(self) -> str:
        """The stream on which a task's standard output arrives."""
        return "stdout" if self.provider.facts.separate_streams else "both"

    def submit(self, command: str | list[str], **fields: Any) -> Task:
        """Submit a task."""
        return self.flow.submit(command, **fields)

    def run(self, command: str | list[str], **fields: Any) -> Task:
        """Submit a task and wait for its end."""
        return self.end(self.submit(command, **fields))

    def end(self, task: Task) -> Task:
        """Wait for a task's end."""
        task.wait(timeout=self.patience)
        return task

    def lines(self, command: str | list[str], **fields: Any) -> list[str]:
        """Run a task, which must succeed, and return the lines of its standard output."""
        task = self.run(command, **fields)
        text = self.output(task).decode()
        assert task.status == "succeeded", f"{task.status} ({task.reason}), it wrote {text!r}"
        return text.splitlines()

    def output(self, task: Task, stream: str = "", rank: int = 0, attempt: int | None = None) -> bytes:
        """Return the bytes that a task wrote, of one stream of one rank."""
        wanted = stream or self.stdout
        chunks = [c for c in self.collected(task.logs()) if (c.rank, c.stream) == (rank, wanted)]
        return b"".join(c.data for c in chunks if attempt in (None, c.attempt))

    def started(self, task: Task, word: bytes = b"up\n", rank: int = 0) -> Task:
        """Wait until a task has written ``word``."""
        seen, deadline = b"", time.monotonic() + self.patience
        with closing(_closable(task.logs(follow=True, deadline=deadline))) as chunks:
            for chunk in chunks:
                seen += chunk.data if chunk.rank == rank else b""
                if word in seen:
                    return task
        raise AssertionError(f"the task never wrote {word!r}, only {seen!r}; it is {task.status} ({task.reason})")

    def followed(self, task: Task) -> list[LogChunk]:
        """Follow a task's log to its end; fails when that does not come."""
        return self.collected(task.logs(follow=True))

    def collected(self, chunks: Iterator[LogChunk]) -> list[LogChunk]:
        """Read a stream to its end, in a thread, since one that never ends must fail and not hang."""
        return bounded(lambda: list(chunks), self.patience, "the stream of the log")

    def ref(self, task: Task) -> TaskRef:
        """Return the provider's reference of a task."""
        assert task.row.ref is not None
        return parse_ref(task.row.ref)[2]

    def order(self, command: str, request_id: str = "", **fields: Any) -> Submission:
        """Return an order that the provider has not got yet."""
        from flow_core.testing._order import order

        made = order(self.flow, request_id or new_request_id(), command, **fields)
        self._ordered.append(made.request_id)
        return made

    def stop(self) -> None:
        """End what a failed scenario left running; says nothing of what goes wrong, since the scenario has spoken."""
        with suppress(FlowError):
            for task in self.flow.tasks(limit=None, states=LIVE_STATES):
                task.cancel(0.0)
            for refs in self.provider.find(self._ordered, 0.0).values() if self._ordered else ():
                for ref in refs:
                    self.provider.cancel(ref, 0.0)

    def report(self, ref: TaskRef) -> TaskReport:
        """Return what the provider says of a reference that it knows."""
        found = self.provider.status([ref])
        assert ref in found, f"the provider does not know {ref.id}"
        return found[ref]

    def ended(self, ref: TaskRef) -> TaskReport:
        """Wait until the provider reports an end."""
        self.until(lambda: self.report(ref).is_final, f"{ref.id} does not end")
        return self.report(ref)

    def log_of(self, ref: TaskRef) -> bytes:
        """Return the standard output of what was ordered from the provider itself."""
        from flow_core.client._reach import open_nodes
        from flow_core.types import LogCursor

        nodes = open_nodes(self.provider, ref)
        streams = [node.read(LogCursor(), False, held) for node, held in nodes]
        chunks = [c for s in streams for c in s] if nodes else list(self.provider.logs(ref, LogCursor(), False))
        return b"".join(c.data for c in chunks if c.stream == self.stdout)

    def until(self, condition: Callable[[], T], message: str, seconds: float | None = None) -> T:
        """Wait for ``condition`` and return what it returns."""
        deadline = time.monotonic() + (self.patience if seconds is None else seconds)
        while not (answer := condition()):
            assert time.monotonic() < deadline, message
            time.sleep(0.02)
        return answer

    def child(self, action: str, **arguments: Any) -> Any:
        """Do something in a new process and return what it answers; None when it was killed, as it was meant to be."""
        return self.answer(self.spawn(action, **arguments))

    def spawn(self, action: str, **arguments: Any) -> subprocess.Popen[bytes]:
        """Begin something in a new process."""
        argv = [sys.executable, "-m", "flow_core.testing._child", action, json.dumps(arguments)]
        return subprocess.Popen(
            argv, cwd=self.work, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def answer(self, child: subprocess.Popen[bytes]) -> Any:
        """Wait for a process of :meth:`spawn` and return what it answered."""
        out, err = child.communicate(timeout=self.patience)
        assert child.returncode in (0, -9), f"another process failed:\n{err.decode()}"
        last = out.decode().strip().rpartition("\n")[2]
        return json.loads(last) if last else None

    def files(self) -> Iterator[Path]:
        """Yield every file below the home."""
        for folder, _, names in os.walk(self.home):
            yield from (Path(folder, name) for name in names)

    def holders(self, words: Iterable[bytes]) -> list[str]:
        """Return the files below the home that hold one of ``words``, relative to it."""
        looked = list(words)
        return sorted(str(p.relative_to(self.home)) for p in self.files() if any(w in _content(p) for w in looked))


def child_environment() -> dict[str, str]:
    """Return this environment, with what this process can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


def _closable(chunks: Iterator[LogChunk]) -> Any:
    return chunks
