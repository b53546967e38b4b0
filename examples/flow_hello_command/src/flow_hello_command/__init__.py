"""flow_hello_command: ``flow hello``, a command that a package of its own brings."""

from __future__ import annotations

import click


@click.command("hello")
@click.option("--name", default="world", help="Whom to greet.")
def command(name: str) -> None:
    """Say hello, and how many tasks are running."""
    from flow_core import Flow

    count = len(Flow().tasks(limit=None, states=["pending", "provisioning", "running"]))
    click.echo(f"hello {name}: {count} {'task is' if count == 1 else 'tasks are'} running")
