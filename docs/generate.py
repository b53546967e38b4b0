"""Writes docs/reference/ from the code: ``python docs/generate.py``; ``--check`` only says what is out of date."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from _reference import commands, config, environment, errors, hooks, index, python, records, settings, states

REFERENCE = Path(__file__).parent / "reference"


def pages() -> Mapping[str, str]:
    """Return path below ``docs/reference`` -> text of every page."""
    found: dict[str, str] = {}
    for part in (index, commands, config, python, settings, states, errors, environment, records, hooks):
        found.update(part.pages())
    return found


def stale() -> list[str]:
    """Return the pages that are not as the code says, and the files that are no page."""
    wanted = pages()
    there = {str(path.relative_to(REFERENCE)): path for path in REFERENCE.rglob("*.md")}
    changed = [name for name in wanted if name not in there or there[name].read_text("utf-8") != wanted[name]]
    return sorted([*changed, *(there.keys() - wanted.keys())])


def main() -> int:
    """Write the pages, or check them."""
    if "--check" in sys.argv[1:]:
        sys.stdout.write("".join(f"out of date: docs/reference/{name}\n" for name in stale()))
        return 1 if stale() else 0
    wanted = pages()
    for path in REFERENCE.rglob("*.md"):
        if str(path.relative_to(REFERENCE)) not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (REFERENCE / name).parent.mkdir(parents=True, exist_ok=True)
        (REFERENCE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
