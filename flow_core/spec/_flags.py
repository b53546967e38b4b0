"""The command line's flags, made from the fields of the records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from flow_core.spec._report import config_error, printable
from flow_core.types import Problem, Resources, TaskConfig

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_CONSTANTS: Mapping[str, object] = {"true": True, "false": False, "null": None}
_WHOLE = frozenset({"num_instances", "processes_per_node", "retries", "max_preemptions", "priority"})


@attrs.frozen
class Flag:
    """One flag. ``name`` begins with ``--``, ``short`` with ``-`` or is empty; ``key`` is the word of the user form.

    A ``multiple`` one may be repeated; of a pair (``is_flag_pair``) ``negative`` is the other. Values are text for
    :func:`read_flags`, which turns them into what the word asks for.
    """

    name: str
    key: str
    help: str
    short: str = ""
    metavar: str = ""
    multiple: bool = False
    is_flag_pair: bool = False

    @property
    def negative(self) -> str:
        """The flag that says no: ``--no-spot`` of ``--spot``."""
        return f"--no-{self.name.removeprefix('--')}" if self.is_flag_pair else ""


def flags() -> Sequence[Flag]:
    """Return every flag that says something about a task, in the order of the fields."""
    found = []
    for field in attrs.fields(TaskConfig):
        if field.name == "instance_type":
            found.append(Flag("--gpu", "gpu", "Short for --instance-type.", metavar="TYPE"))
        parts = attrs.fields(Resources) if field.name == "resources" else (field,)
        found.extend(_flag(part) for part in parts if part.metadata.get("flag"))
    return tuple(found)


def _flag(field: attrs.Attribute[Any]) -> Flag:
    words = field.metadata
    multiple = field.default == () or isinstance(field.default, Mapping)
    return Flag(
        words["flag"],
        field.name,
        words["help"],
        words["short"],
        words["metavar"],
        multiple,
        is_flag_pair=not words["metavar"],
    )


def read_flags(
    values: Mapping[str, object], *, problems: list[Problem] | None = None
) -> tuple[dict[str, object], dict[str, str]]:
    """Return the user-form mapping that flags ask for, and the flag that set each of its paths.

    ``values`` has, by :attr:`Flag.key`, text, a sequence of texts for a ``multiple`` flag, True or False for a pair;
    None and empty sequences were not given. ``K=V`` and ``PROVIDER.KEY=VALUE`` texts are taken apart; an option's value
    is read as in a file (``true``, ``null``, numbers and lists in ``[ ]`` are themselves, quotes make text). What is
    neither is added to ``problems``, or raises :class:`ConfigError` where no list is given.
    """
    reading = _Reading()
    for flag in flags():
        value = values.get(flag.key)
        if value is not None and value != () and value != []:
            reading.take(flag, value)
    if problems is not None:
        problems.extend(reading.problems)
    elif reading.problems:
        raise config_error(reading.problems, None)
    return reading.data, reading.flags


class _Reading:
    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.flags: dict[str, str] = {}
        self.problems: list[Problem] = []

    def take(self, flag: Flag, value: Any) -> None:
        """Put one flag's values in their place."""
        self.flags[flag.key] = flag.name
        if flag.key == "options":
            for text in value:
                self._option(flag, text)
        elif flag.metavar == "K=V":
            for text in value:
                self._pair(flag, text)
        else:
            self.data[flag.key] = list(value) if flag.multiple else _typed(flag.key, value)

    def _pair(self, flag: Flag, text: str) -> None:
        name, equals, value = text.partition("=")
        if not (name and equals):
            self._refuse(flag, text, "write NAME=VALUE")
            return
        self.data.setdefault(flag.key, {})[name] = value
        self.flags[f"{flag.key}.{name}"] = flag.name

    def _option(self, flag: Flag, text: str) -> None:
        path, equals, value = text.partition("=")
        *outer, last = path.split(".")
        if not (outer and last and equals and all(outer)):
            self._refuse(flag, text, "write PROVIDER.KEY=VALUE")
            return
        place = self.data.setdefault(flag.key, {})
        for name in outer:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                self._refuse(flag, text, f"{name} has a value already")
                return
        if isinstance(place.get(last), dict):
            self._refuse(flag, text, f"{last} has keys of its own already")
            return
        try:
            place[last] = _value(value, flag.name)
        except ValueError:
            self._refuse(flag, text, 'a value in [ ] is a list, as [a, "b, c"]: put quotes around what is text')
            return
        self.flags[f"{flag.key}.{path}"] = self.flags[path] = flag.name

    def _refuse(self, flag: Flag, text: str, hint: str) -> None:
        self.problems.append(printable(Problem(flag.name, "BAD_VALUE", f'"{text}" is not {flag.metavar}', hint)))


def _typed(key: str, value: Any) -> object:
    if not isinstance(value, str):
        return value
    if key in _WHOLE and _INTEGER.fullmatch(value):
        return int(value)
    return float(value) if key == "cpus" and _NUMBER.fullmatch(value) else value


def _value(word: str, flag: str) -> object:
    if not (len(word) > 1 and word[0] == "[" and word[-1] == "]"):
        return _scalar(word)
    from flow_core.spec import _yaml
    from flow_core.spec._document import Document, Unreadable

    document = Document(flag, word)
    try:
        found = _yaml.read(document)
    except Unreadable as error:
        raise ValueError(word) from error
    if document.problems:
        raise ValueError(word)
    return found


def _scalar(word: str) -> object:
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        return word[1:-1]
    if re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,17})", word):
        return int(word)
    return float(word) if _NUMBER.fullmatch(word) and "." in word else word
