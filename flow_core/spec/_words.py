"""The words of single places: what a command, a signal, a target is, beyond its type."""

from __future__ import annotations

import re
from typing import Final

from flow_core.spec._report import Wrong
from flow_core.spec._scalar import filled, quote_it, quoted, text, wrong_type
from flow_core.types import FunctionCall, parse_instance_type

NAME = r"[a-z0-9][a-z0-9._-]{0,47}"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
LABEL = r"[a-z0-9._-]{1,63}"
KEY = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
TASK = r"(any:)?[A-Za-z0-9][A-Za-z0-9._-]*"
VOLUME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
PORT = r"[A-Za-z][A-Za-z0-9_-]{0,31}"

SIGNALS: Final = (
    *("ABRT", "ALRM", "BUS", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "PROF", "PWR", "QUIT", "SEGV"),
    *("SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"),
)
"""Names that every POSIX system knows (signal(7)), without STOP and CHLD, which ask nothing of a task."""

CODE_MODES: Final = ("inplace", "snapshot", "none")
RESTARTS: Final = ("no", "on-failure", "always")


def fit_name(word: str) -> str:
    """Return the nearest task name to ``word``, or an empty text when nothing of it can stand in one."""
    return re.sub(r"[^a-z0-9._-]+", "-", word.lower()).lstrip("._-")[:48].rstrip("._-")


def command(value: object) -> str | tuple[str, ...]:
    """Read text for a shell, or a list of arguments."""
    if isinstance(value, str):
        return _shell_text(value)
    if not isinstance(value, (list, tuple)):
        raise wrong_type("text or a list of arguments", value, quote_it(value))
    words = tuple(_argument(index, word) for index, word in enumerate(value))
    if not words or not words[0].strip():
        raise Wrong("names no program", "write what to run, as [python, train.py]", "NO_COMMAND")
    return words


def _shell_text(value: str) -> str:
    if not value.strip():
        raise Wrong("is blank", "write what to run, as `python train.py`", "NO_COMMAND")
    return text(value)


def _argument(index: int, value: object) -> str:
    try:
        return text(value)
    except Wrong as error:
        raise Wrong(f"argument {index} {error.message}", error.hint, error.code) from error


def instance_type(value: object) -> str:
    """Read what people or the provider call a kind of machine."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong_type("a type", value, f"write how many of what, as {value}xh100" if 0 < value < 10**6 else "")
    word = filled(value)
    if len(word) > 128 or any(letter.isspace() for letter in word):
        raise Wrong(f"{quoted(word)} is not a type", "write 8xh100, a100, cpu or the provider's own name")
    try:
        parse_instance_type(word)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise Wrong(message, hint) from error
    return word


def signal(value: object) -> str:
    """Read a signal's name, with or without SIG; returned without."""
    if not isinstance(value, str):
        raise wrong_type("a signal's name", value, "write TERM, INT or USR1")
    word = text(value)
    name = word.upper().removeprefix("SIG")
    if word.removeprefix("SIG") in SIGNALS:
        return name
    raise Wrong(
        f"{quoted(word)} is not a signal",
        f"write {name}" if name in SIGNALS else "write TERM, INT or USR1",
        "UNKNOWN_WORD",
    )


def target(value: object) -> str:
    """Read an absolute path that something is put at."""
    path = filled(value)
    if not path.startswith("/"):
        raise Wrong(f"{quoted(path)} is not absolute", "begin it with /")
    if ".." in path.split("/"):
        raise Wrong(f"{quoted(path)} holds ..", "write the path without it")
    if len(path) > 4095:
        raise Wrong("is longer than any path can be: 4095 bytes")
    if not path.strip("/."):
        raise Wrong("is the root of the node, which cannot be covered", "write a folder below it")
    return path


def file_path(value: object) -> str:
    """Read a path that does not climb."""
    path = filled(value)
    if ".." in path.split("/"):
        raise Wrong(f"{quoted(path)} holds ..", "write the path without it")
    return path


def glob(value: object) -> str:
    """Read a pattern of files below the working folder."""
    pattern = filled(value)
    if pattern.startswith("/"):
        raise Wrong(f"{quoted(pattern)} is absolute", "write it relative to the working folder")
    if ".." in pattern.split("/"):
        raise Wrong(f"{quoted(pattern)} holds ..; only files below the working folder are kept")
    return pattern


def source(value: object) -> str:
    """Read what is mounted: a folder, ``volume:NAME`` or ``scheme://…``."""
    word = filled(value)
    if word == "volume:":
        raise Wrong("names no volume", "write volume:NAME")
    return word


def http_path(value: object) -> str:
    """Read the path of a URL."""
    path = filled(value)
    if not path.startswith("/"):
        raise Wrong(f"{quoted(path)} is not a URL path", "begin it with /")
    return path


def port_name(value: object) -> str:
    """Read the name of a port; that there is one is a rule between words."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong_type("the name of a port", value, "write the name that the port has under ports, as main")
    return filled(value)


def function_call(value: object) -> FunctionCall:
    """Accept the call that ``invoke`` made; nobody writes one by hand."""
    if isinstance(value, FunctionCall):
        return value
    raise Wrong("is set by flow.invoke and @flow.function only", "write command instead")
