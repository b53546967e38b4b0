"""1,000,000 lines, 100 MB, from the writer's first until the follower holds the last, beside ``tail -F``.

Each byte is checked by a hash; the writer measures itself, so a follower that slows it down shows.
"""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import attrs

from benchmarks.figures import Figure, Spread
from benchmarks.follower import (
    Following,
    Writer,
    by_flow_logs,
    by_iterator,
    by_tail,
    followed,
    now,
    variable,
    with_secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.place import Place

LINES, WIDTH = 1_000_000, 100
PLAIN, MASKED, SLOWED = 1.2, 2.0, 1.1
SECRET, VALUE = "BENCHMARK_TOKEN", "tok-9Xq7Zr4vB2mW"
_CODE = f"""
began = time.monotonic()
value = os.environ.get({SECRET!r}, {VALUE!r})
out = open(1, 'wb')
for at in range(int(sys.argv[2])):
    line = b'%08d ' % at
    line += value.encode() if at % 1000 == 0 else b''
    out.write(line.ljust({WIDTH - 1}, b'.') + b'\\n')
out.flush()
open(sys.argv[3], 'w').write('%.9f %.9f' % (began, time.monotonic()))
"""


@attrs.frozen
class Run:
    """Seconds of one run: until the last byte was followed, and until it was written; ``fault`` when bytes differ."""

    followed: float
    written: float
    fault: str


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    lines = LINES // 10 if place.quick else LINES
    ways = {"floor": by_tail, "logs(follow=True)": by_iterator, "flow logs -f": by_flow_logs}
    masked = {f"{name}, secret": with_secret(way, SECRET) for name, way in list(ways.items())[1:]}
    runs: dict[str, list[Run]] = {name: [] for name in (*ways, *masked)}
    alone: list[float] = []
    with variable(SECRET, VALUE):
        for _ in range(5):
            alone.append(unfollowed(place.folder, lines))
            for name, way in {**ways, **masked}.items():
                runs[name].append(one_run(place.folder, way, lines, name in masked))
    return [
        figure for name in list(runs)[1:] for figure in _figures(name, runs["floor"], runs[name], alone, name in masked)
    ]


def _figures(name: str, floor: list[Run], ours: list[Run], alone: list[float], masked: bool) -> list[Figure]:
    faults = ", ".join(sorted({run.fault for run in ours if run.fault}))
    return [
        Figure(
            "log volume" + (", masked" if masked else ""),
            name,
            "tail -F",
            Spread(tuple(run.followed for run in floor)),
            Spread(tuple(run.followed for run in ours)),
            budget=MASKED if masked else PLAIN,
            unit="s",
            faults=faults,
        ),
        Figure(
            "log volume, the task",
            f"{name}: time to write",
            "unfollowed",
            Spread(tuple(alone)),
            Spread(tuple(run.written for run in ours)),
            "least",  # a follower takes a core, which the median shows where there are two
            budget=SLOWED,
            unit="s",
        ),
    ]


def one_run(folder: Path, follow: Callable[[Writer], Following], lines: int, masked: bool) -> Run:
    """Run one writer with one follower."""
    times = folder / "times"
    times.unlink(missing_ok=True)
    size = lines * WIDTH - (_saved(lines) if masked else 0)
    pieces: list[bytes] = []
    left, ended = size, 0.0

    def take(piece: bytes) -> bool:
        nonlocal left, ended
        ended = now()
        pieces.append(piece)
        left -= len(piece)
        return left <= 0

    followed(Writer(folder, _CODE, (str(lines), str(times))), follow, take)
    began, wrote = map(float, times.read_text().split())
    fault = "" if _digest(pieces) == expected(lines, masked) else "bytes differ"
    return Run(ended - began, wrote - began, fault)


def unfollowed(folder: Path, lines: int) -> float:
    """Return the seconds that the writer takes when nobody follows its file."""
    times = folder / "times"
    writer = Writer(folder, _CODE, (str(lines), str(times)))
    with (folder / "alone.log").open("wb") as log, subprocess.Popen(writer.command(), stdout=log) as child:
        writer.go()
        child.wait()
    began, wrote = map(float, times.read_text().split())
    return wrote - began


def _saved(lines: int) -> int:
    return (len(VALUE) - len("***")) * -(-lines // 1000)


def _digest(pieces: list[bytes]) -> str:
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()


def expected(lines: int, masked: bool) -> str:
    """Return the hash of what a follower must have got."""
    whole = hashlib.sha256()
    for at in range(lines):
        line = (b"%08d " % at + (VALUE.encode() if at % 1000 == 0 else b"")).ljust(WIDTH - 1, b".") + b"\n"
        whole.update(line.replace(VALUE.encode(), b"***") if masked else line)
    return whole.hexdigest()
