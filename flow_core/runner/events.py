"""The file that wakes clients: ``ROOT/events``, a line ``<seq> <task> <attempt> <rank> <what>`` for each change."""

import os
from typing import List

_ROTATE = 8 << 20  # bytes


class Events:
    """Appends lines, those of one turn in one write."""

    def __init__(self, root: str) -> None:
        self._path = root + "/events"
        self._fd = self._open()
        self._seq = self._last()
        self._lines: List[str] = []

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _last(self) -> int:
        """The number of the last line, also when that was rotated away or torn."""
        for path in (self._path, self._path + ".1"):
            try:
                with open(path, "rb") as file:
                    file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
                    words = [line.split(b" ")[0] for line in file.read().split(b"\n")[:-1]]
            except OSError:
                continue
            numbers = [int(word) for word in words if word.isdigit()]
            if numbers:
                return max(numbers)
        return 0

    def add(self, task: str, attempt: int, rank: str, what: str) -> None:
        """Note a change; ``rank`` is ``-`` for the whole task."""
        self._seq += 1
        self._lines.append("%d %s %d %s %s\n" % (self._seq, task, attempt, rank, what))

    def flush(self) -> None:
        """Write what was noted. Without room it is lost: who waits looks at the folders now and then."""
        if not self._lines:
            return
        data, self._lines = "".join(self._lines).encode(), []
        try:
            os.write(self._fd, data)
            if os.fstat(self._fd).st_size > _ROTATE:
                os.rename(self._path, self._path + ".1")
                os.close(self._fd)
                self._fd = self._open()
        except OSError:
            return
