"""Words to options, as getopt_long gives them to sbatch: abbreviations, values apart or attached, letters together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import attrs

from flow_slurm.sbatch.lines import Word, wrong
from flow_slurm.sbatch.options import NONE, REQUIRED, Option, by_long, by_short

_NOT_SBATCH = {
    "workdir": "it is called --chdir",
    "share": "it is called --oversubscribe",
    "cpu-bind": "it is an option of srun",
    "cpu_bind": "it is an option of srun",
    "mem_bind": "it is called --mem-bind",
    "mpi": "it is an option of srun",
    "label": "it is an option of srun",
    "container-image": "it is an option of srun with pyxis; say --image to flow run",
    "container-mounts": "it is an option of srun with pyxis; say --mount to flow run",
}


@attrs.frozen
class Given:
    """An option that was given; ``value`` None where none was. ``word`` is where."""

    option: Option
    value: str | None
    word: Word


def read(words: Sequence[Word]) -> tuple[list[Given], list[Word]]:
    """Return the options of a script's words. Raises ConfigError for what is no option; the second list is empty."""
    given, rest = parse(words, stop=False)
    if rest:
        text = rest[0].text
        raise wrong(
            "SYNTAX", f"invalid directive: {text}", rest[0].line, rest[0].column, "every word is an option or its value"
        )
    return given, rest


def parse(words: Sequence[Word], stop: bool) -> tuple[list[Given], list[Word]]:
    """Return the options and what is none; ``stop``: the first that is none ends them, as on the command line."""
    given: list[Given] = []
    rest: list[Word] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word.text == "--":
            return given, [*rest, *words[at:]]
        if word.text.startswith("--"):
            at = _long(word, words, at, given)
        elif word.text.startswith("-") and word.text != "-":
            at = _short(word, words, at, given)
        else:
            rest.append(word)
            if stop:
                return given, [*rest, *words[at:]]
    return given, rest


def _long(word: Word, words: Sequence[Word], at: int, given: list[Given]) -> int:
    name, equals, value = word.text[2:].partition("=")
    option = _named(name, word)
    if option.kind == NONE and equals:
        raise wrong("NO_VALUE", f"{option.dashed} takes no value", word.line, word.column)
    if option.kind == REQUIRED and not equals:
        value, at = _next(option.dashed, word, words, at)
        equals = "="
    given.append(Given(option, value if equals else None, word))
    return at


def _short(word: Word, words: Sequence[Word], at: int, given: list[Given]) -> int:
    letters = word.text[1:]
    for number, letter in enumerate(letters, 1):
        option = by_short().get(letter)
        if option is None:
            raise wrong("NO_OPTION", f"sbatch has no option -{letter}", word.line, word.column, _near(letter))
        if option.kind == NONE:
            given.append(Given(option, None, word))
            continue
        value: str | None = letters[number:] or None
        if value is None and option.kind == REQUIRED:
            value, at = _next(f"-{letter}", word, words, at)
        given.append(Given(option, value, word))
        break
    return at


def _next(name: str, word: Word, words: Sequence[Word], at: int) -> tuple[str, int]:
    if at == len(words):
        raise wrong("NO_VALUE", f"{name} needs a value", word.line, word.column)
    return words[at].text, at + 1


def _named(name: str, word: Word) -> Option:
    known = by_long()
    if name in known:
        return known[name]
    found = {known[long].name: known[long] for long in known if name and long.startswith(name)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        shown = ", ".join(f"--{long}" for long in sorted(found))
        raise wrong("AMBIGUOUS", f"--{name} is ambiguous: {shown}", word.line, word.column, "write it out")
    raise wrong("NO_OPTION", f"sbatch has no option --{name}", word.line, word.column, _near(name))


def _near(name: str) -> str:
    if name in _NOT_SBATCH:
        return _NOT_SBATCH[name]
    near: Iterator[str] = iter(get_close_matches(name, by_long(), 1))
    return next((f"did you mean --{word}?" for word in near), "")
