"""One rank of one attempt, as the process sees it that answers for it."""

import os
import signal
from typing import Optional, Tuple

from . import process, tree
from .cgroup import Group
from .containers import Start
from .record import Exit, attempt_dir, read_exit


class Rank:
    """Its folder, its processes, and how it ended."""

    def __init__(self, folder: str, attempt: int, number: int) -> None:
        self.task_folder = folder
        self.attempt = attempt
        self.number = number
        self.folder = attempt_dir(folder, attempt, number)
        self.path = self.folder + "/exit"
        self.watcher = 0
        self.task: Optional[Tuple[int, int]] = None
        self.pidfd: Optional[int] = None  # of the command
        self.starting = False  # by another process, whose watcher has not spoken yet
        self.since = 0.0  # monotonic
        self.returns = False  # whether its machine, taken back, comes again with its disk
        self.orphans_come_here = False  # whether this process has been parent and sub-reaper since the start
        self.end: Optional[Exit] = None
        self.over = False  # ended, and nothing of it is left
        self.group: Optional[Group] = None  # only of what claims memory or cores
        self.removal: Optional[Start] = None  # of its containers, where they may live on without what we started
        self.noticed = False  # whether it was told that the machine will be taken back
        self.contained: Optional[Tuple[int, int]] = None  # a container's limit of memory, and kills for it until then
        self._unwritten = b""

    def ran_out(self, code: Optional[int]) -> Optional[int]:
        """The limit in bytes where one of its processes was killed for memory; None where that is not seen.

        An engine keeps its containers in groups of its own, and those go with them: there it is a command that was
        killed while the kernel killed for memory.
        """
        if self.group is not None and (limit := self.group.ran_out()):
            return limit
        if self.contained is None or code != 128 + signal.SIGKILL or process.memory_kills() == self.contained[1]:
            return None
        return self.contained[0]

    @property
    def live(self) -> bool:
        """Whether it was started and has not ended."""
        return self.watcher > 0 and self.end is None

    @property
    def leader(self) -> int:
        """The watcher's pid, 0 where it belongs to another process by now."""
        return 0 if self.watcher and process.is_stranger(self.watcher, self.since) else self.watcher

    def tree(self) -> tree.Root:
        """What the processes of this rank have in common."""
        return tree.root(self.leader, self.task, self.task_folder, self.attempt, self.number)

    def record(self) -> Exit:
        """Its exit record as it stands."""
        return read_exit(self.path)

    def append(self, line: str) -> bool:
        """Append a line to the exit record; False while the disk has no room (``flush`` tries again)."""
        self._unwritten += line.encode() + b"\n"
        return self.flush()

    def flush(self) -> bool:
        """Write what could not be written before; whether nothing is left to write."""
        if not self._unwritten:
            return True
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            # A torn line must not become a whole, wrong one by what is written behind it.
            torn = not _ends_whole(fd)
            data = (b" ?\n" if torn else b"") + self._unwritten
            if os.write(fd, data) == len(data):
                self._unwritten = b""
        except OSError:
            return False
        finally:
            os.close(fd)
        return not self._unwritten


def _ends_whole(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size == 0 or os.pread(fd, 1, size - 1) == b"\n"
