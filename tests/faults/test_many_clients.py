"""Clients that do everything at once in one state folder."""

from __future__ import annotations

import os
import subprocess
import sys

from flow_core import Flow

_CLIENT = """
import sys
import flow_core as flow
client, name = flow.Flow(), sys.argv[1]
for number, what in enumerate(("wait", "list", "follow", "cancel")):
    task = client.submit(f"echo {name}-{number} >> ran; echo out-{number}; test {what} != cancel || sleep 60")
    print(task.id, flush=True)
    if what == "wait":
        assert task.wait() == 0
    elif what == "list":
        assert client.refresh() == {} and task.id in [found.id for found in client.tasks(limit=None)]
    elif what == "follow":
        assert b"".join(chunk.data for chunk in task.logs(follow=True)) == b"out-2\\n"
    else:
        task.cancel(grace=0.0)
        task.wait()
"""


COUNT = 200 if os.environ.get("FLOW_SOAK") else 12


def test_clients_at_once_lose_and_double_nothing(flow: Flow, project) -> None:
    argv = [sys.executable, "-W", "error", "-c", _CLIENT]
    clients = [
        subprocess.Popen([*argv, f"c{number}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(COUNT)
    ]
    answers = [client.communicate(timeout=600) for client in clients]

    assert [(client.returncode, err) for client, (_, err) in zip(clients, answers, strict=True)] == [(0, "")] * COUNT
    told = [line for out, _ in answers for line in out.split()]
    for task_id in told:
        flow.task(task_id).wait(timeout=60)
    rows = {task.id: task.row.state for task in flow.tasks(limit=None)}
    assert sorted(rows) == sorted(told)
    assert list(rows.values()).count("succeeded") == 3 * COUNT
    assert set(rows.values()) == {"succeeded", "cancelled"}
    ran = (project / "ran").read_text().split()
    assert len(ran) == len(set(ran)) >= 3 * COUNT
