"""When the bytes of a log were written: the sparse index ``<stream>.idx`` beside it.

Records of 16 bytes, little-endian: an offset in the stream, and nanoseconds since the epoch. A record holds
from its offset to the next one's. A torn tail is ignored; the index may lack. Nothing is loaded whole.
"""

import os
import struct
from typing import Callable, List, Optional, Tuple, Union

Path = Union[str, "os.PathLike[str]"]
Span = Tuple[int, Optional[float]]  # from this offset on, written at (epoch seconds)

_RECORD = struct.Struct("<QQ")


def time_at(attempt_dir: Path, stream: str, offset: int) -> Optional[float]:
    """When the byte at ``offset`` of a stream was written (epoch seconds); None where no index tells.

    ``attempt_dir`` is the folder of one rank in one attempt.
    """
    try:
        index = os.open(os.path.join(attempt_dir, stream + ".idx"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return spans(index, offset, offset + 1)[0][1]
    finally:
        os.close(index)


def spans(index: Optional[int], start: int, end: int) -> List[Span]:
    """The times of the bytes from ``start`` to ``end``; the first span begins at ``start``."""
    if index is None:
        return [(start, None)]
    count = _count(index)
    at = count
    if count and _record(index, count - 1)[0] > start:  # a follower reads behind the last record
        at = _first(count, lambda i: _record(index, i)[0] > start)
    found: List[Span] = [(start, _record(index, at - 1)[1] if at else None)]
    for offset, moment in (_record(index, i) for i in range(at, count)):
        if offset >= end:
            break
        while found and found[-1][0] >= offset:  # a damaged index must not cost a byte
            found.pop()
        found.append((offset if found else start, moment))
    return found


def written_since(index: Optional[int], moment: float) -> Optional[int]:
    """The offset of the first byte indexed at ``moment`` (epoch seconds) or later; None if there is none."""
    count = 0 if index is None else _count(index)
    if index is None or not count or _record(index, count - 1)[1] < moment:
        return None
    return _record(index, _first(count, lambda i: _record(index, i)[1] >= moment))[0]


def last_offset(index: Optional[int]) -> int:
    """The offset of the last record, 0 without one."""
    count = 0 if index is None else _count(index)
    return 0 if index is None or not count else _record(index, count - 1)[0]


def _count(index: int) -> int:
    return os.fstat(index).st_size // _RECORD.size


def _record(index: int, number: int) -> Tuple[int, float]:
    offset, nanoseconds = _RECORD.unpack(os.pread(index, _RECORD.size, number * _RECORD.size))
    return offset, nanoseconds / 1e9


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The first number below ``count`` from which on ``holds`` is true, ``count`` if none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
