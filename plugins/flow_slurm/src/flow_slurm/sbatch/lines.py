"""The directive lines of a batch script, taken apart into words exactly as sbatch does it."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from flow_core import ConfigError, Problem

MARK = "#SBATCH"
OTHERS = ("#PBS", "#BSUB")
_BLANKS = " \t\n\v\f\r"
_NOT_A_SCRIPT = "the first line must be #! and the path of an interpreter, as #!/bin/bash"


@attrs.frozen
class Word:
    """A word of a directive, and where it begins (from 1); ``line`` 0: it stands on no line."""

    text: str
    line: int = 0
    column: int = 0
    source: str = "script"


def wrong(code: str, message: str, line: int = 0, column: int = 0, hint: str = "") -> ConfigError:
    """Return the error for one place of a script."""
    problem = Problem("", code, message, hint, line=line or None, column=column or None)
    return ConfigError(message, hint, problems=[problem])


def check(script: str) -> None:
    """Refuse what sbatch takes for no batch script. Raises ConfigError."""
    if not script.strip(_BLANKS):
        raise wrong("EMPTY", "the batch script is empty")
    if not script.startswith("#!"):
        raise wrong("NO_INTERPRETER", "this is no batch script", 1, 1, _NOT_A_SCRIPT)
    if "\0" in script:
        raise wrong("NULL", "the batch script holds a NUL character", script[: script.index("\0")].count("\n") + 1)
    if "\r\n" in script:
        line = script[: script.index("\r\n")].count("\n") + 1
        raise wrong("DOS", "the batch script has DOS line ends", line, hint="convert it, as with dos2unix")


def directives(script: str, mark: str = MARK) -> Iterator[tuple[int, str]]:
    """Yield (line number, what follows the mark): of the lines before the first command."""
    for number, line in enumerate(script.split("\n"), 1):
        if line.startswith(mark):
            yield number, line[len(mark) :]
        elif (text := line.lstrip(_BLANKS)) and not text.startswith("#"):
            return


def components(script: str) -> list[list[Word]]:
    """Return the words of all directives: one list, or one for each component of a heterogeneous job."""
    found: list[list[Word]] = [[]]
    for number, text in directives(script):
        if _splits(text):
            found.append([])
        else:
            found[-1] += words(text, number, len(MARK) + 1)
    return found


def _splits(text: str) -> bool:
    return text[1:].startswith(("hetjob", "packjob"))


def split_at(script: str) -> int:
    """Return the line that begins the second component of a heterogeneous job, 0 where there is none."""
    return next((number for number, text in directives(script) if _splits(text)), 0)


def words(text: str, line: int, column: int) -> Iterator[Word]:
    """Yield the words of one line; an empty word or a ``#`` ends it. Raises ConfigError for an open quote."""
    at = 0
    while True:
        while at < len(text) and text[at] in _BLANKS:
            at += 1
        if text[at : at + 1] == ":":
            raise wrong("SYNTAX", "unexpected `:`", line, column + at)
        start = at
        word, at = _word(text, at, line, column)
        if not word:
            return
        yield Word(word, line, column + start)


def _word(text: str, at: int, line: int, column: int) -> tuple[str, int]:
    letters: list[str] = []
    quote, opened = "", at
    while at < len(text):
        letter = text[at]
        if letter == "\\":
            at += 1
            if not quote and text[at : at + 1] in tuple(_BLANKS):
                break  # outside of quotes nothing joins two words
            letters += text[at : at + 1]
        elif quote:
            if letter == quote:
                quote = ""
            else:
                letters.append(letter)
        elif letter in "\"'":
            quote, opened = letter, at
        elif letter in _BLANKS or letter == "#":
            break
        else:
            letters.append(letter)
        at += 1
    if quote:
        raise wrong("SYNTAX", f"{quote} is opened and not closed", line, column + opened)
    return "".join(letters), at
