"""``ROOT/queue``: who waits and why, written by the one that serves, read by whoever asks.

A line for each task that waits, in order: ``[folder, task id, place (0: for other tasks), priority, claim, reason]``
in JSON. A task that is not in it runs, has ended, or came a moment ago.
"""

import json
import os
import time
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from .loop import Loop
from .record import Doc, write_file

_NAME = "/queue"
_PAUSE = 1.0  # seconds between two writings
_FIRST = 0.1  # a change is not worth a writing where the next one follows at once
_SHARE = 50  # ten thousand lines take their time: never more than one part in so many of it


class Entry(NamedTuple):
    """A task that waits: its folder's name, id, place in line (0: it waits for other tasks), claim, and why."""

    folder: str
    task_id: str
    place: int
    priority: int
    claim: Doc
    reason: str


class Board:
    """Writes the file, a while after something has changed; ``entries`` says what is in it."""

    def __init__(self, root: str, loop: Loop, entries: Callable[[], Iterable[Entry]]) -> None:
        self._path, self._loop, self._entries = root + _NAME, loop, entries
        self._due = False
        self._rest_until = 0.0
        self._empty = not os.path.exists(self._path)

    def change(self, waiting: bool) -> None:
        """Note a change; ``waiting``: whether anything is in line."""
        if not self._due and (waiting or not self._empty):
            self._due = True
            self._loop.at(max(time.monotonic() + _FIRST, self._rest_until), self.write)

    def write(self) -> None:
        """Write it now."""
        self._due = False
        began = time.monotonic()
        lines = [json.dumps(entry) + "\n" for entry in self._entries()]
        if self._empty and not lines:
            return
        try:
            write_file(self._path, "".join(lines).encode())
            self._empty = not lines
        except OSError:  # no room: a reason less, until the next change
            pass
        now = time.monotonic()
        self._rest_until = now + max(_PAUSE, _SHARE * (now - began))

    def clear(self) -> None:
        """Nothing waits any more."""
        if not self._empty:
            self._empty = True
            try:
                os.unlink(self._path)
            except OSError:
                return


def read(root: str) -> List[Entry]:
    """All that wait, in order, as of the last writing."""
    return list(_entries(_data(root)))


def reason(folder: str) -> Optional[str]:
    """Why the task in ``ROOT/tasks/NAME`` waits; None where nobody has said it."""
    above, name = os.path.split(folder)
    data = _data(os.path.dirname(above)) if os.path.basename(above) == "tasks" else b""
    at = data.find(b'["%s", ' % os.fsencode(name))
    found = list(_entries(data[at : data.find(b"\n", at) + 1])) if at >= 0 else []
    return found[0].reason if found else None


def _data(root: str) -> bytes:
    try:
        with open(root + _NAME, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _entries(data: bytes) -> Iterator[Entry]:
    for line in data.splitlines():
        try:
            yield Entry(*json.loads(line))
        except (ValueError, TypeError):
            continue


def waiting(root: str, names: Iterable[str]) -> Tuple[Dict[str, str], List[str]]:
    """(those of ``names`` that surely wait now, with their reason; the others).

    One file and one look at a path for each: however many wait, no folder is opened. What was read may be a moment
    old, so a task counts as waiting only while it has no attempt and its folder stands where live ones do.
    """
    reasons = {entry.folder: entry.reason for entry in read(root)}
    begun = {name: os.path.exists("%s/tasks/%s/attempts" % (root, name)) for name in names}
    try:
        live = set(os.listdir(root + "/tasks")) if reasons else set()
    except OSError:
        live = set()
    still = {name: reasons[name] for name, has in begun.items() if not has and name in live and name in reasons}
    return still, [name for name in begun if name not in still]
