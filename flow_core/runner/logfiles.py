"""The log files of a task folder: which there are, which grew, and their bytes block by block."""

import os
import time
from typing import (
    Callable,
    Collection,
    Dict,
    Generator,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Set,
    Tuple,
    Union,
)

from .inotify import Watcher
from .logtimes import Span, spans

Path = Union[str, "os.PathLike[str]"]
Key = Tuple[int, int, str]  # attempt, rank, stream
Cursor = Mapping[Key, int]
Place = Tuple[str, ...]  # () the folder, then "attempts", an attempt, a rank, a stream

BLOCK = 256 * 1024  # bytes: the most that a piece holds
_ASK = 0.5  # seconds: asked at least once a second, also by a busy machine
_PAUSE = 0.001  # seconds
_HURRY = 8  # wake-ups, each less than a pause after the one before
_FLAGS = os.O_RDONLY | os.O_CLOEXEC


class Piece(NamedTuple):
    """Bytes of one stream, and where in it they stand; ``time`` is when they were written (epoch seconds)."""

    attempt: int
    rank: int
    stream: str
    offset: int
    data: bytes
    time: Optional[float]


class Log:
    """The streams of one folder: which there are, which grew, how far each was read."""

    def __init__(
        self,
        folder: Union[Path, int],
        ranks: Optional[Collection[int]],
        streams: Collection[str],
        follow: bool,
    ) -> None:
        inside = folder if isinstance(folder, int) else None
        path = "." if isinstance(folder, int) else folder
        self.fd = os.open(path, _FLAGS | os.O_DIRECTORY, dir_fd=inside)
        self._ranks, self._streams = ranks, streams
        self._watcher = Watcher() if follow else None
        self._places: Set[Place] = set()
        self._handles: Dict[int, Place] = {}
        self._grown: Set[Key] = set()
        self._positions: Dict[Key, int] = {}
        self._ends: Dict[Key, Tuple[int, float]] = {}  # where a stream ended, and when that was seen
        self._closed: Optional[Callable[[], bool]] = None
        self._asked, self._over = time.monotonic(), False
        self._woken, self._hurry = 0.0, 0

    def close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)
        if self._watcher is not None:
            self._watcher.close()

    def keys(self) -> List[Key]:
        """The streams there are, attempts in order."""
        self._look((), deep=True)
        return sorted(self._grown)

    def open(self, key: Key, suffix: str = "") -> Optional[int]:
        return open_at("attempts/%d/%d/%s%s" % (*key, suffix), self.fd)

    def pieces(self, cursor: Cursor, closed: Optional[Callable[[], bool]]) -> Generator[Piece, None, None]:
        self._positions.update(cursor)
        self._closed = closed
        if self._watcher is not None and self._is_final():
            self._watcher.close()
            self._watcher = None
        self._look((), deep=True)
        while True:
            over = self._watcher is None or self._over or self._is_final()
            if over:
                self._look((), deep=True)
            yield from self._drain()
            if over:
                return
            self._wait(self._watcher)

    def _is_final(self) -> bool:
        return _exists("final.json", self.fd) or (("attempts",) in self._places and not _exists("attempts", self.fd))

    def _wait(self, watcher: Optional[Watcher]) -> None:
        changed: Collection[int] = ()
        while watcher is not None and not changed and not self._over:
            changed = watcher.wait(_ASK if self._closed or watcher.polling else None)
            self._ask()
            if watcher.polling:  # what a network file system says of a directory may be old
                self._look((), deep=True)
                return
        self._rest()
        for handle in changed:
            self._look(self._handles[handle], deep=False)

    def _rest(self) -> None:
        """Let a task that writes without pause write: each of our wake-ups costs it time too."""
        now = time.monotonic()
        self._hurry = self._hurry + 1 if now - self._woken < _PAUSE else 0
        if self._hurry > _HURRY:
            time.sleep(_PAUSE)
        self._woken = time.monotonic()

    def _ask(self) -> None:
        now = time.monotonic()
        if self._closed is not None and not self._over and now - self._asked >= _ASK:
            self._asked = now
            self._over = self._closed()

    def _look(self, place: Place, deep: bool) -> None:
        """Note what stands below a place, watching each before looking into it, so that nothing slips by."""
        if place not in self._places and not self._watch(place):
            return
        if len(place) == 4:
            self._grown.add((int(place[1]), int(place[2]), place[3]))
            return
        for name in self._names(place):
            if deep or place + (name,) not in self._places:
                self._look(place + (name,), deep)

    def _watch(self, place: Place) -> bool:
        try:
            if self._watcher is not None:
                self._handles[self._watcher.add("/".join(place) or ".", self.fd)] = place
        except FileNotFoundError:
            return False
        self._places.add(place)
        return True

    def _names(self, place: Place) -> List[str]:
        if not place:
            return ["attempts"] if self._streams and _exists("attempts", self.fd) else []
        names = _list("/".join(place), self.fd)
        if len(place) == 3:
            return [name for name in names if name in self._streams]
        numbers = [name for name in names if name.isdigit() and str(int(name)) == name]
        if len(place) == 2 and self._ranks is not None:
            return [name for name in numbers if int(name) in self._ranks]
        return numbers

    def _drain(self) -> Iterator[Piece]:
        """Yield what the grown streams hold up to where they end now, a block of each in turn."""
        while self._grown:
            first = min(key[0] for key in self._grown)
            turn: Dict[Key, Optional[int]] = {key: None for key in sorted(self._grown) if key[0] == first}
            self._grown.difference_update(turn)
            while turn:
                for key in list(turn):
                    turn[key], pieces = self._block(key, turn[key])
                    yield from pieces
                    self._ask()
                    if self._positions.get(key, 0) >= (turn[key] or 0):
                        del turn[key]

    def _block(self, key: Key, end: Optional[int]) -> Tuple[int, List[Piece]]:
        """Read on by one block; ``end`` is where to stop, None for the end the stream has now."""
        fd = self.open(key)
        if fd is None:
            return 0, []
        index = self.open(key, ".idx")
        try:
            found = os.fstat(fd)
            start = self._start(key, found.st_size)
            end = found.st_size if end is None else min(end, found.st_size)
            data = os.pread(fd, max(0, min(BLOCK, end - start)), start)
            self._positions[key] = start + len(data)
            # What was written too fast for an index was written just before the file last changed.
            times: List[Span] = [(start, found.st_mtime)] if index is None else spans(index, start, start + len(data))
            pieces = _cut(key, start, data, times)
        finally:
            os.close(fd)
            close_fd(index)
        return end, self._dated(key, pieces, found)

    def _start(self, key: Key, size: int) -> int:
        """Where to read on. A stream shorter than what was seen of it was truncated and begins anew."""
        start = self._positions.get(key, 0)
        return 0 if key in self._ends and size < self._ends[key][0] else start

    def _dated(self, key: Key, pieces: List[Piece], found: os.stat_result) -> List[Piece]:
        """Mend the time of what came so fast that the index does not know it yet.

        Its last entry then tells of the bytes before, which may be hours old; the file's own time is right.
        """
        end, seen = self._ends.get(key, (-1, 0.0))
        if pieces and pieces[0].offset == end and pieces[0].time is not None and pieces[0].time < seen:
            pieces[0] = pieces[0]._replace(time=found.st_mtime)
        if self._positions[key] == found.st_size:
            self._ends[key] = (found.st_size, time.time())
        return pieces


def open_at(path: Path, dir_fd: Optional[int]) -> Optional[int]:
    try:
        return os.open(path, _FLAGS, dir_fd=dir_fd)
    except FileNotFoundError:
        return None


def close_fd(fd: Optional[int]) -> None:
    if fd is not None:
        os.close(fd)


def _exists(path: str, dir_fd: int) -> bool:
    try:
        os.stat(path, dir_fd=dir_fd)
    except FileNotFoundError:
        return False
    return True


def _list(path: str, dir_fd: int) -> List[str]:
    fd = open_at(path, dir_fd)
    try:
        return [] if fd is None else os.listdir(fd)
    finally:
        close_fd(fd)


def _cut(key: Key, start: int, data: bytes, times: List[Span]) -> List[Piece]:
    """Pieces of ``data``, one for each time: a line of a slow log does not get its neighbour's."""
    ends = [offset - start for offset, _ in times[1:]] + [len(data)]
    parts = ((offset - start, end, moment) for (offset, moment), end in zip(times, ends))
    return [Piece(*key, start + begin, data[begin:end], moment) for begin, end, moment in parts if end > begin]
