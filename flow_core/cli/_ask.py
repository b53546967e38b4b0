"""Asking the person at the terminal; a program gets an error that says what to give instead."""

from __future__ import annotations

import os
import select
import signal
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
    while (answer := _line(f"flow: your answer, kept for next time ({', '.join(answers)}): ")) not in answers:
        click.echo(f"flow: {answer!r} is none of them", err=True)
    return answer


def confirm(what: str, yes: bool) -> None:
    """Go on only when ``yes`` or when the person agrees. Raises UsageError where nobody can be asked."""
    if yes:
        return
    if not is_possible():
        raise click.UsageError(f"this would {what}: say --yes")
    if _line(f"flow: {what}? [y/N]: ").lower() not in ("y", "yes"):
        raise click.Abort


def value(name: str, hidden: bool, words: str = "") -> str:
    """Return a value from the person, who is told ``words``, or one line of stdin where that is no terminal."""
    if sys.stdin.isatty():
        return str(click.prompt(words or name, hide_input=hidden, err=True))
    line = sys.stdin.readline()
    if not line:
        raise click.UsageError(f"no {name} was given on stdin")
    return line.rstrip("\r\n")


def _line(question: str) -> str:
    """Return the line that the person types. Ctrl-C before the reading has begun is not lost, as it is in ``input``."""
    told, tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    former = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    try:
        click.echo(question, nl=False, err=True)
        while sys.stdin not in select.select([sys.stdin, told], [], [])[0]:
            os.read(told, 64)  # of a signal that ends nothing
    finally:
        signal.set_wakeup_fd(former)
        os.close(told)
        os.close(tell)
    if not (line := sys.stdin.readline()):
        raise click.Abort
    return line.strip()
