"""What goes into and comes out of the processes of a step."""

import os
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, List

if TYPE_CHECKING:
    from .srun_process import Process

CHUNK = 65536


class Writer:
    """Whole lines with a label before each; without a label bytes as they come."""

    _lock = threading.Lock()

    def __init__(self, target: BinaryIO, label: bytes) -> None:
        self._target, self._label, self._rest = target, label, b""

    def write(self, data: bytes) -> None:
        """Write what came."""
        if not self._label:
            self._put(data)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._put(b"".join(self._label + line + b"\n" for line in lines))

    def finish(self) -> None:
        """Write a last line that has no end."""
        if self._rest:
            self._put(self._label + self._rest + b"\n")

    def _put(self, data: bytes) -> None:
        with self._lock, suppress(BrokenPipeError):
            self._target.write(data)
            self._target.flush()


class Input:
    """The step's stdin: all of its processes get it, or the one that --input names."""

    def __init__(self, option: str, tasks: "List[Process]") -> None:
        self._tasks = [task for task in tasks if not option.isdigit() or task.rank == int(option)]
        self._path = option if option and not option.isdigit() and option not in ("all", "none") else ""
        self._none = option == "none" or (not self._path and _is_null(0))
        self._alone = len(tasks) == 1 and not self._path and not self._none

    def stdin(self, rank: int) -> Any:
        """What a process that is started here has as stdin."""
        if self._alone:
            return None
        return subprocess.DEVNULL if self._none or all(task.rank != rank for task in self._tasks) else subprocess.PIPE

    def start(self) -> None:
        """Begin to pass it on."""
        there = any(task.is_elsewhere for task in self._tasks)
        if self._none or (self._alone and not there):
            for task in self._tasks:
                task.feed(b"") if self._none and task.is_elsewhere else None
            return
        threading.Thread(target=self._copy, daemon=True).start()

    def _copy(self) -> None:
        with open(self._path, "rb") if self._path else os.fdopen(0, "rb", closefd=False) as file:
            while True:
                data = os.read(file.fileno(), CHUNK)
                for task in self._tasks:
                    task.feed(data)
                if not data:
                    return


def _is_null(fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(os.devnull))
    except OSError:
        return True


def pump(stream: Any, writer: Writer) -> threading.Thread:
    def copy() -> None:
        while True:
            data = os.read(stream.fileno(), CHUNK)
            if not data:
                break
            writer.write(data)
        writer.finish()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread
