"""Asking the person at the terminal; a program gets an error that says what to give instead."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click


def is_possible() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def one_of(question: str, answers: Mapping[str, str]) -> str:
    """Return the answer that the person chooses; each stands with what it means."""
    width = max(map(len, answers))
    lines = [f"flow: {question}", *(f"  {answer:{width}}  {meaning}" for answer, meaning in answers.items())]
    click.echo("\n".join(lines), err=True)
    return str(click.prompt("flow: your answer, kept for next time", type=click.Choice(list(answers)), err=True))


def confirm(what: str, yes: bool) -> None:
    """Go on only when ``yes`` or when the person agrees. Raises UsageError where nobody can be asked."""
    if yes:
        return
    if not is_possible():
        raise click.UsageError(f"this would {what}: say --yes")
    if not click.confirm(f"flow: {what}?", err=True):
        raise click.Abort


def value(name: str, hidden: bool, words: str = "") -> str:
    """Return a value from the person, who is told ``words``, or one line of stdin where that is no terminal."""
    if sys.stdin.isatty():
        return str(click.prompt(words or name, hide_input=hidden, err=True))
    line = sys.stdin.readline()
    if not line:
        raise click.UsageError(f"no {name} was given on stdin")
    return line.rstrip("\r\n")
