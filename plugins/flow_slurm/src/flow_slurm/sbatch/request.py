"""What a script, the environment and a command line ask for together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import attrs

from flow_core import ConfigError, Problem
from flow_slurm.sbatch import getopt, lines
from flow_slurm.sbatch.getopt import Given
from flow_slurm.sbatch.lines import Word
from flow_slurm.sbatch.options import OPTIONS, REQUIRED

T = TypeVar("T")
D = TypeVar("D")
_SAID_TWICE = (("requeue", "no-requeue"), ("exclusive", "oversubscribe"))
_MEMORY = ("mem", "mem-per-cpu", "mem-per-gpu")


@attrs.frozen
class Request:
    """The options that count, by name; ``split`` is the line where a heterogeneous job's second component begins."""

    given: Mapping[str, Given]
    split: int = 0

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def text(self, name: str, default: str = "") -> str:
        """Return an option's value as it was written."""
        found = self.given.get(name)
        return default if found is None or found.value is None else found.value

    def read(self, name: str, reader: Callable[[str], T], default: D) -> T | D:
        """Return an option's value. Raises ConfigError at its place."""
        found = self.given.get(name)
        if found is None or found.value is None:
            return default
        try:
            return reader(found.value)
        except ValueError as error:
            raise ConfigError(str(error), problems=[problem(found, "VALUE", f"{found.value!r}: {error}")]) from error


def problem(given: Given, code: str, message: str, hint: str = "", severity: str = "error") -> Problem:
    """Return a problem with an option, at its line."""
    word = given.word
    said = {"environment": f"{given.option.env} ({given.option.dashed})"}.get(word.source, given.option.dashed)
    return Problem("", code, f"{said}: {message}", hint, severity, line=word.line or None, column=word.column or None)


def read(script: str, environ: Mapping[str, str], argv: Sequence[str] = ()) -> Request:
    """Return what is asked for: the command line before the environment before the script, the last of several.

    Raises ConfigError with the place of what is wrong.
    """
    said, rest = getopt.parse([Word(text, source="command line") for text in argv], stop=True)
    if rest:
        raise lines.wrong("SYNTAX", f"{rest[0].text} is no option")
    environment = list(_environment(environ))
    ignores = any(one.option.name == "ignore-pbs" for one in [*said, *environment])
    parts = [getopt.read(words)[0] for words in lines.components(script)]
    if not ignores and not any(one.option.name == "ignore-pbs" for one in parts[0]):
        _refuse_others(script)
    return Request(_one_memory(_last([parts[0], environment, said])), lines.split_at(script))


def _environment(environ: Mapping[str, str]) -> Iterator[Given]:
    for option in OPTIONS:
        value = environ.get(option.env) if option.env else None
        if value is not None and not (option.name == "exclusive" and value == ""):
            word = Word(value, source="environment")
            yield Given(option, value if option.kind == REQUIRED or value else None, word)


def _last(layers: Sequence[Sequence[Given]]) -> dict[str, Given]:
    """Later layers win, and the last word in each; of two words for one thing too."""
    found: dict[str, Given] = {}
    for layer in layers:
        for given in layer:
            for group in _SAID_TWICE:
                if given.option.name in group:
                    for other in group:
                        found.pop(other, None)
            found[given.option.name] = given
    return found


def _one_memory(found: dict[str, Given]) -> dict[str, Given]:
    """Of the memory's three measures one counts: an option before a variable. Raises ConfigError for two of a kind."""
    said = [found[name] for name in _MEMORY if name in found]
    options = [given for given in said if given.word.source != "environment"] or said
    if len(options) > 1:
        message = f"{options[0].option.dashed} says what {options[1].option.dashed} says: only one of them may stand"
        raise ConfigError(message, problems=[problem(options[1], "CONFLICT", message)])
    return {name: given for name, given in found.items() if name not in _MEMORY or given in options}


def _refuse_others(script: str) -> None:
    for mark in lines.OTHERS:
        for number, _ in lines.directives(script, mark):
            message = f"{mark} lines are options too, and are not read here"
            raise lines.wrong("OTHER_BATCH", message, number, 1, "write #SBATCH, or add `#SBATCH --ignore-pbs`")
