"""Gathers everything that is wrong with one task before anybody is told."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from flow_core.errors import ConfigError
from flow_core.types import Problem

Positions = Mapping[str, tuple[int, int]]

INVALID: Final[Any] = type("Invalid", (), {"__repr__": lambda _: "INVALID"})()
"""Stands where a value could not be read: its problem is in the report, and no rule looks at it again."""

_MOST_PROBLEMS = 1000
_MOST_SUGGESTIONS = 100
_LONGEST_TEXT = 300
_ALIASES = {"instance_type": "gpu", **{f"resources.{word}": word for word in ("cpus", "memory", "disk")}}


class Wrong(Exception):  # noqa: N818 - never leaves this package
    """A value is not what its place asks for; becomes a :class:`Problem` where the path is known."""

    def __init__(self, message: str, hint: str = "", code: str = "BAD_VALUE") -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


class Report:
    """Problems as they are found, each with the place it came from: a line of the file, or a flag."""

    def __init__(
        self,
        file: str | None = None,
        positions: Positions | None = None,
        flags: Mapping[str, str] | None = None,
        problems: Iterable[Problem] = (),
    ) -> None:
        self._file = file
        self._positions = positions or {}
        self._flags = flags or {}
        self.problems = list(problems)
        self._spoilt = {problem.path for problem in self.problems if problem.code != "DUPLICATE"}

    def add(self, path: str, code: str, message: str, hint: str = "") -> None:
        """Note a problem at ``path``, unless its text was found to be at fault before."""
        if path not in self._spoilt and len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(printable(self.place(Problem(path, code, message, hint))))

    def suggest(self, word: object, known: Collection[str]) -> str:
        """Return ``did you mean `x`?`` for the nearest of ``known``; empty when none is near, or none reads so far."""
        near = nearest(str(word), known) if len(self.problems) < _MOST_SUGGESTIONS else ""
        return f"did you mean `{near}`?" if near else ""

    def wrong(self, path: str, error: Wrong) -> None:
        """Note what a reader refused at ``path``."""
        self.add(path, error.code, error.message, error.hint)

    def place(self, problem: Problem) -> Problem:
        """Return ``problem`` with the nearest place that its path is known to come from: a flag, or a line."""
        for path in _places(problem.path):
            if path in self._flags:
                return _evolve(problem, path=f"{self._flags[path]} {_below(problem.path, path)}".rstrip())
            if path in self._positions:
                line, column = self._positions[path]
                return _evolve(problem, file=self._file, line=line, column=column)
        return _evolve(problem, file=self._file)

    def fail_on_problems(self) -> None:
        """Raise one ConfigError with all problems, in the order of the file, when there are any."""
        if self.problems:
            raise config_error(self.problems, self._file)


def config_error(problems: Iterable[Problem], file: str | None) -> ConfigError:
    """Return the one error that holds ``problems``, sorted by line, then column."""
    found = sorted(problems, key=lambda problem: (problem.line or math.inf, problem.column or 0))
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    return ConfigError(f"{count} in {file or 'the task'}", problems=found)


def locate(
    problems: Iterable[Problem],
    *,
    positions: Positions | None = None,
    file: str | None = None,
    flags: Mapping[str, str] | None = None,
) -> tuple[Problem, ...]:
    """Return ``problems`` (a provider's, a policy's) with the line and column, or the flag, that their paths came from.

    Paths are the records' own (``instance_type``, ``resources.memory``, ``options.NAME.key``); the user's short words
    and sections are found from them.
    """
    report = Report(file, positions, flags)
    return tuple(problem if problem.file else report.place(problem) for problem in problems)


def join(path: str, key: object) -> str:
    """Return the path of ``key`` in the mapping at ``path``."""
    return f"{path}.{key}" if path else str(key)


def printable(problem: Problem) -> Problem:
    """Return ``problem`` fit for a terminal: a name in a file may hold anything, and be of any length."""
    return _evolve(problem, path=_escaped(problem.path), message=_escaped(problem.message), hint=_escaped(problem.hint))


def _escaped(text: str) -> str:
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


def nearest(word: str, known: Collection[str]) -> str:
    """Return the one of ``known`` that ``word`` was most likely meant to be, or an empty text."""
    from difflib import get_close_matches  # only a mistake pays for it

    plain = _snake_case(word)
    if plain in known:
        return plain
    return next(iter(get_close_matches(plain[:64], sorted(known), n=1, cutoff=0.6)), "")


def _snake_case(word: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", word).replace("-", "_").lower()


def _evolve(problem: Problem, **changes: object) -> Problem:
    import attrs

    return attrs.evolve(problem, **changes)  # type: ignore[arg-type]


def _outwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]


def _places(path: str) -> Iterator[str]:
    """The paths to look up, nearest first; each with the user's own word for it."""
    for place in _outwards(path):
        yield place
        if place in _ALIASES:
            yield _ALIASES[place]
        elif place.startswith("options."):
            yield place.removeprefix("options.")
    yield ""


def _below(path: str, outer: str) -> str:
    """What of ``path`` lies below ``outer``, without the number of a list's item: a flag's user never wrote one."""
    if not path.startswith(outer):
        return ""
    return re.sub(r"^\[\d+\]", "", path[len(outer) :]).lstrip(".")
