"""The pages of this project, and the blocks of code in them.

A fenced block's language says what it is: ``console`` is run (``$ `` begins a command, ``> `` goes on with it, all else
is what it prints), ``python`` is run, ``yaml`` is read, ``sh`` needs a network and is only shown. A block whose first
line is a comment with a file name is that file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
MEASURED = ROOT / "docs" / "performance.md"  # its commands take minutes and give other figures each time
_NAME = re.compile(r"(?:#|//) ([\w.~/-]+\.(?:py|yaml|json|csv|sh|toml))$")
_NEEDS = re.compile(r"<!-- needs: ([\w, ]+) -->")
_FENCE = re.compile(r"(?P<dent> *)```(?P<language>\w*)$")


class Block(NamedTuple):
    """A fenced block; ``line`` counts from 1, ``name`` is the file that it is, or empty."""

    language: str
    text: str
    line: int
    name: str


class Step(NamedTuple):
    """A command of a console block, and what it prints."""

    command: str
    shown: str


def pages() -> list[Path]:
    """Return every page that is written by hand."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    top += [ROOT / "examples" / name / "README.md" for name in ("digits", "model_server")]
    plugins = sorted([*ROOT.glob("plugins/*/README.md"), *ROOT.glob("plugins/*/CHANGELOG.md")])
    others = {REFERENCE, ROOT / "docs" / "behaviour"}
    return [*top, *plugins, *(page for page in sorted(ROOT.glob("docs/**/*.md")) if not others & set(page.parents))]


def title(page: Path) -> str:
    """Return how a page is called in a test's name."""
    return page.relative_to(ROOT).as_posix()


def needs(page: Path) -> set[str]:
    """Return what a page says that its examples need."""
    return {word for found in _NEEDS.findall(page.read_text("utf-8")) for word in re.split(r"[, ]+", found)}


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    lines = iter(enumerate(page.read_text("utf-8").split("\n"), 1))
    for number, line in lines:
        if opening := _FENCE.fullmatch(line):
            dent = len(opening["dent"])
            body: list[str] = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner[dent:])
            yield _block(opening["language"], body, number)


def _block(language: str, body: list[str], line: int) -> Block:
    name = _NAME.match(body[0]) if body and language != "console" else None
    return Block(language, "\n".join(body) + "\n", line, name[1] if name else "")


def steps(block: Block) -> list[Step]:
    """Return the commands of a console block."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line)
    return [Step("\n".join(command), "\n".join(shown)) for command, shown in found]
