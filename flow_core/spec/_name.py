"""A task's name, made from its command."""

from __future__ import annotations

import posixpath
import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from flow_core.spec._words import fit_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCRIPT = re.compile(r"\.(py|sh|bash|zsh|pl|rb|js|ts|r|jl|lua)$", re.IGNORECASE)
_RUNS_SCRIPTS = re.compile(
    r"(python|pypy)[0-9.]*|(ba|z|da|k)?sh|node|deno|bun|ruby|perl|Rscript|julia|lua|uv|uvx|poetry|pixi|conda|"
    r"torchrun|accelerate|deepspeed|mpirun|mpiexec|xvfb-run"
)
_SEPARATORS = ";\n|&(){}"
_TOKENS = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|[;\n|&(){}]|[^;\n|&(){}'"\\]+|['"\\]""",
    re.DOTALL,
)
_BEFORE = frozenset({"env", "exec", "nohup", "time", "nice", "sudo", "command", "then", "do", "!"})
_SETTING_UP = frozenset(
    {
        "cd",
        "set",
        "export",
        "source",
        ".",
        "ulimit",
        "umask",
        "mkdir",
        "module",
        "unset",
        "trap",
        "if",
        "for",
        "while",
    }
)
_LOOKED_AT = 4096  # characters: splitting words takes time that grows with their length squared


def default_name(command: str | Sequence[str] | None) -> str:
    """Return a task's name: the script that an interpreter or launcher runs, else the program's own name.

    ``python train.py --lr 1`` and ``torchrun --nproc_per_node 8 train.py`` give ``train``, ``./run.sh`` gives ``run``,
    ``python -m pkg.eval`` gives ``pkg.eval``, ``python -c …`` gives ``python``, ``cd src && make all`` gives ``make``.
    What cannot stand in a name becomes ``-``; ``task`` when nothing is left.
    """
    steps = _steps(command) if isinstance(command, str) else [list(command or ())]
    return next((name for name in map(_step_name, steps) if name), "task")


def _steps(command: str) -> list[list[str]]:
    parts = [""]
    for token in _TOKENS.findall(command[:_LOOKED_AT]):
        if token[0] in _SEPARATORS:
            parts.append("")
        else:
            parts[-1] += token
    return [_words(part) for part in parts if part.strip() and not part.lstrip().startswith("#")]


def _words(part: str) -> list[str]:
    try:
        return shlex.split(part)
    except ValueError:  # a quote that does not end
        return part.split()


def _step_name(words: list[str]) -> str:
    while words and (posixpath.basename(words[0]) in _BEFORE or re.match(r"\w+=", words[0])):
        words = words[1:]
    if not words or words[0] in _SETTING_UP:
        return ""
    program = posixpath.basename(words[0])
    return _fitted(_script(words[1:]) or program if _RUNS_SCRIPTS.fullmatch(program) else program)


def _script(words: list[str]) -> str:
    """The module or script among an interpreter's arguments; empty when its program is in the arguments themselves."""
    for word, following in pairwise([*words, ""]):
        if word in ("-c", "-e"):
            return ""
        if word == "-m":
            return following
        if _SCRIPT.search(word):
            return posixpath.basename(word)
    return ""


def _fitted(word: str) -> str:
    return fit_name(_SCRIPT.sub("", word)).rstrip("-")
