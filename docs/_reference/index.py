"""The list of the reference pages."""

from __future__ import annotations

from collections.abc import Mapping

from _reference.markdown import page

_PAGES = (
    ("commands.md", "the command line: every command, argument and option"),
    ("config.md", "a task: every key of a task file, its option and its Python keyword"),
    ("python.md", "`import flow`: functions, `Flow`, `Task`, asyncio"),
    ("settings.md", "settings, profiles, environment variables"),
    ("states.md", "the states of a task and which may follow which"),
    ("errors.md", "errors and exit codes"),
    ("environment.md", "the variables that a task finds"),
    ("records.md", "the records that core and plugins hand to each other"),
    ("hooks/index.md", "the hooks that a plugin implements"),
)


def pages() -> Mapping[str, str]:
    """Return the page."""
    lines = (f"- [{name}]({name}): {what}" for name, what in _PAGES)
    text = "These pages are made from the code by `python docs/generate.py`; a test checks that they are current."
    return {"index.md": page("Reference", text, "\n".join(lines))}
