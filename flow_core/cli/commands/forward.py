"""``flow forward``."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress

import click

from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option, node_option, task_argument
from flow_core.cli._relay import HOST, relay
from flow_core.cli._talk import ending, say, say_which
from flow_core.client import Flow, Task, Way
from flow_core.errors import FlowError


@click.command("forward")
@click.option(
    "--local", type=click.IntRange(0, 65535), metavar="PORT", help="Listen there, until Ctrl-C; 0: any free port."
)
@node_option
@json_option
@task_argument
@click.argument("port", metavar="PORT|NAME")
def command(task: str, port: str, local: int | None, node: int, as_json: bool) -> None:
    """Print the address on this machine that leads to a port of a running task.

    The port is a number, or a name of the task's `ports`. With --local, and where the task runs on another machine, the
    way is open as long as this command runs.

    \b
      flow forward server main
      flow forward server 8080 --local 9000
    """
    found = Flow().task(task)
    say_which(task, found.row)
    way = found.way(int(port) if port.isdigit() else port, node)
    if local is None:
        _tell(way.host, way.port, node, as_json)
        if not way.lasts:
            asyncio.run(_until_ended(found))
    else:
        asyncio.run(_relay(found, way, local, node, as_json))
    if found.row.is_final:
        say(ending(found.row))


def _tell(host: str, port: int, node: int, as_json: bool) -> None:
    if as_json:
        emit({"host": host, "port": port, "node": node}, "forward")
    else:
        sys.stdout.write(f"{host}:{port}\n")
        sys.stdout.flush()


async def _relay(task: Task, way: Way, local: int, node: int, as_json: bool) -> None:
    over = asyncio.Event()
    _watch(task, over)
    await relay(local, way.host, way.port, lambda chosen: _tell(HOST, chosen, node, as_json), over)


async def _until_ended(task: Task) -> None:
    over = asyncio.Event()
    _watch(task, over)
    await over.wait()


def _watch(task: Task, over: asyncio.Event) -> None:
    """Set ``over`` when the task has ended; nothing waits for the thread that sees it."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        with suppress(FlowError):
            Flow().task(task.id).wait()
        with suppress(RuntimeError):  # the loop was closed: by Ctrl-C
            loop.call_soon_threadsafe(end)

    def end() -> None:
        task.refresh()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
