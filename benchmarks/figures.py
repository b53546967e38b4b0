"""Figures: what was measured, its floor, its budget and the verdict."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Limit = Literal["ratio", "least", "median", "p99"]
UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}


@attrs.frozen
class Spread:
    """Samples of one thing, in seconds."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.samples)

    @property
    def least(self) -> float:
        """The one that others on this machine disturbed least."""
        return min(self.samples)

    @property
    def p99(self) -> float:
        """What 99 of 100 stay below."""
        return sorted(self.samples)[max(0, -(-len(self.samples) * 99 // 100) - 1)]


@attrs.frozen
class Figure:
    """One budget: ``ours`` beside ``floor``. ``limit`` says what of it must not exceed ``budget``.

    ``ratio``: median by median; ``least``: least by least; ``median`` and ``p99``: seconds. ``faults`` says what was
    lost or torn.
    Without a budget it is shown for comparison only.
    """

    name: str
    what: str
    floor_name: str
    floor: Spread
    ours: Spread
    limit: Limit = "ratio"
    budget: float | None = None
    unit: str = "ms"
    faults: str = ""

    @property
    def ratio(self) -> float:
        """Median by median."""
        return self.ours.median / self.floor.median

    @property
    def value(self) -> float:
        """What is held against the budget."""
        return {
            "ratio": self.ratio,
            "least": self.ours.least / self.floor.least,
            "median": self.ours.median,
            "p99": self.ours.p99,
        }[self.limit]

    @property
    def verdict(self) -> str:
        """``ok``, ``missed`` or ``wrong``; empty without a budget."""
        if self.faults:
            return "wrong"
        if self.budget is None:
            return ""
        return "ok" if self.value <= self.budget else "missed"

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; times in seconds."""
        return {
            "name": self.name,
            "what": self.what,
            "floor_name": self.floor_name,
            **{f"floor_{key}": value for key, value in _numbers(self.floor).items()},
            **{f"ours_{key}": value for key, value in _numbers(self.ours).items()},
            "ratio": self.ratio,
            "limit": self.limit,
            "budget": self.budget,
            "verdict": self.verdict,
            "faults": self.faults,
        }


def _numbers(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "least": spread.least, "p99": spread.p99, "samples": len(spread.samples)}


def in_turns(rounds: int, contenders: Mapping[str, Callable[[], float]], warm_up: int = 1) -> dict[str, Spread]:
    """Return the samples of each contender, one of each per round: what disturbs the machine disturbs all alike."""
    for _ in range(warm_up):
        for run in contenders.values():
            run()
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            samples[name].append(run())
    return {name: Spread(tuple(values)) for name, values in samples.items()}


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that ``act`` takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


HEADER = ("BENCHMARK", "WHAT", "BUDGET", "FLOOR", "OURS", "LEAST", "P99", "RATIO", "VERDICT")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as columns."""
    rows = [HEADER, *map(_row, figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADER))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


def _row(figure: Figure) -> tuple[str, ...]:
    floor, ours = figure.floor, figure.ours
    return (
        figure.name,
        figure.what,
        _budget(figure),
        f"{_time(floor.median, figure.unit)} {figure.floor_name}",
        _time(ours.median, figure.unit),
        _time(ours.least, figure.unit),
        _time(ours.p99, figure.unit),
        f"{figure.ratio:.2f}",
        f"{figure.verdict} {figure.faults}".strip(),
    )


def _budget(figure: Figure) -> str:
    if figure.budget is None:
        return "-"
    if figure.limit == "ratio":
        return f"<= {figure.budget:g} x"
    if figure.limit == "least":
        return f"least <= {figure.budget:g} x"
    return f"{figure.limit} <= {_time(figure.budget, figure.unit)}"


def _time(seconds: float, unit: str) -> str:
    return f"{seconds * UNITS[unit]:.3g} {unit}"
