"""From the write of a line until its follower holds it, beside ``tail -F``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Limit, Spread
from benchmarks.follower import Following, Writer, by_flow_logs, by_iterator, by_tail, followed, now

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.place import Place

LINES = 200
MEDIAN, P99 = 0.001, 0.005  # seconds
_BUDGETS: tuple[tuple[Limit, float], ...] = (("median", MEDIAN), ("p99", P99))
_CODE = """
import random
for at in range(int(sys.argv[2])):
    time.sleep(random.uniform(0.004, 0.012))
    os.write(1, b'%.9f\\n' % time.monotonic())
"""


def measure(place: Place) -> list[Figure]:
    """Return the figures."""
    lines = LINES // 2 if place.quick else LINES
    ways = {"floor": by_tail, "logs(follow=True)": by_iterator, "flow logs -f": by_flow_logs}
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            samples[name] += delays(place, way, lines)
    found = {name: Spread(tuple(values)) for name, values in samples.items()}
    return [
        Figure(f"log line, {limit}", name, "tail -F", found["floor"], found[name], limit, budget)
        for name in list(ways)[1:]
        for limit, budget in _BUDGETS
    ]


def delays(place: Place, follow: Callable[[Writer], Following], lines: int) -> list[float]:
    """Return the delay of each line, in seconds."""
    found: list[float] = []
    rest = b""

    def take(piece: bytes) -> bool:
        nonlocal rest
        seen = now()
        *whole, rest = (rest + piece).split(b"\n")
        found.extend(seen - float(line) for line in whole)
        return len(found) >= lines

    followed(Writer(place.folder, _CODE, (str(lines),)), follow, take)
    return found
