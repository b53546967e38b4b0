"""What the kit does in another process; ``python -m flow_core.testing._child ACTION JSON`` prints JSON at its end."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flow_core.client import Flow
from flow_core.testing._order import order
from flow_core.types import LogCursor, TaskRef

_GO_PATIENCE = 20.0  # seconds


def _refs(ids: list[str]) -> list[TaskRef]:
    return [TaskRef(name) for name in ids]


def submit(flow: Flow, command: str, fields: Mapping[str, Any]) -> str:
    """Submit a task as a user would and return its id."""
    return flow.submit(command, **fields).id


def send(flow: Flow, request_id: str, command: str, go: str = "") -> str:
    """Give an order to the provider, when the file ``go`` is there, and return the reference's id."""
    made, provider = order(flow, request_id, command), flow.provider()
    deadline = time.monotonic() + _GO_PATIENCE
    while go and not Path(go).exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    return provider.submit(made).id


def die_after_yes(flow: Flow, command: str) -> None:
    """Submit, and be killed between the provider's yes and the journal's."""
    _kill_at(flow, "mark_accepted")
    flow.submit(command)


def die_before_call(flow: Flow, command: str, ago: float) -> None:
    """Submit, ``ago`` seconds before now, and be killed before the provider is called."""
    clock, provider = time.time, flow.provider()
    time.time = lambda: clock() - ago
    provider.submit = _die  # type: ignore[method-assign]
    flow.submit(command)


def _kill_at(flow: Flow, moment: str) -> None:
    setattr(flow.session.journal, moment, _die)


def _die(*_arguments: object, **_more: object) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def submit_then_die(flow: Flow, command: str) -> None:
    """Submit, say the id and be killed."""
    _say(flow.submit(command).id)
    _die()


def find(flow: Flow, request_ids: list[str]) -> dict[str, list[str]]:
    """Return the ids of the references by request id."""
    return {name: [ref.id for ref in refs] for name, refs in flow.provider().find(request_ids, 0.0).items()}


def status(flow: Flow, ids: list[str]) -> dict[str, Any]:
    """Return state and exit code by reference id."""
    found = flow.provider().status(_refs(ids))
    return {ref.id: [r.state, r.attempts[-1].exit_code if r.attempts else None] for ref, r in found.items()}


def logs(flow: Flow, task: str, positions: list[tuple[int, int, str, int, str]]) -> list[tuple[int, int, str, str]]:
    """Return the log from a cursor on, data in base64."""
    from flow_core.types import Position

    cursor = LogCursor({(a, r, s): Position(offset, token) for a, r, s, offset, token in positions})
    chunks = flow.task(task).logs(cursor=cursor)
    return [(c.attempt, c.rank, c.stream, base64.b64encode(c.data).decode()) for c in chunks]


def volumes(flow: Flow) -> list[str]:
    """Return the names of the volumes."""
    return [volume.name for volume in flow.volumes()]


_ACTIONS: dict[str, Callable[..., Any]] = {
    action.__name__: action
    for action in (submit, send, die_after_yes, die_before_call, submit_then_die, find, status, logs, volumes)
}


def _say(answer: object) -> None:
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _say(_ACTIONS[sys.argv[1]](Flow(cwd=os.getcwd()), **json.loads(sys.argv[2])))
