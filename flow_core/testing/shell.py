"""Shell: commands and ports of a running task (``docs/behaviour/shell.md``)."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from typing import ClassVar

import pytest

from flow_core.client import Task
from flow_core.errors import FlowError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.types import TaskRef, new_request_id

_SERVER = (
    'python3 -c \'import socket; s = socket.create_server(("", 0)); print(s.getsockname()[1], flush=True);'
    ' c = s.accept()[0]; c.sendall(b"hello")\''
)


class ShellContract(Contract):
    """Scenarios S01 to S06: through the nodes, or through the provider's own hooks."""

    claims: ClassVar[frozenset[str]] = frozenset({"flow_shell_exec", "flow_shell_forward"})

    @pytest.fixture
    def running(self, bench: Bench) -> Iterator[Task]:
        """A running task that can be reached."""
        running = bench.started(bench.submit("echo up; sleep 60", env={"KIT_WORD": "from the task"}))
        if not reachable(bench, running):
            running.cancel(0.0)
            self.need(bench, "flow_shell_exec")
        yield running
        running.cancel(0.0)
        bench.end(running)

    def _exec(self, task: Task, *argv: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command beside the task."""
        session = task.exec(argv)
        environ = {**os.environ, **session.env}
        return subprocess.run(session.argv, env=environ, capture_output=True, timeout=self.patience, check=False)

    def test_s01_a_commands_output_and_exit_code_come_back(self, bench: Bench, running: Task) -> None:  # noqa: ARG002
        done = self._exec(running, "sh", "-c", "printf out; printf err >&2; exit 6")
        assert (done.returncode, done.stdout) == (6, b"out")
        assert b"err" in done.stderr

    def test_s02_a_command_sees_the_tasks_environment(self, bench: Bench, running: Task) -> None:  # noqa: ARG002
        done = self._exec(running, "sh", "-c", 'echo "$KIT_WORD $FLOW_TASK_ID"')
        assert done.stdout.decode().strip() == f"from the task {running.id}"

    def test_s03_arguments_arrive_as_they_were_given(self, bench: Bench, running: Task) -> None:  # noqa: ARG002
        given = ["a b", "", "it's", '"', "$HOME", "*", "\\", "x\ny"]
        done = self._exec(running, "sh", "-c", 'for a; do printf "%s\\0" "$a"; done', "sh", *given)
        assert done.stdout.decode().split("\0")[:-1] == given

    def test_s04_a_command_for_nothing_is_refused(self, bench: Bench) -> None:
        self.need(bench, "flow_shell_exec")
        with pytest.raises(FlowError):
            bench.provider.shell_exec(TaskRef(new_request_id()), 0, ("true",), False)

    def test_s05_a_command_leaves_the_task_alone(self, bench: Bench, running: Task) -> None:
        self._exec(running, "sh", "-c", "exit 1")
        assert running.status == "running"
        assert bench.output(running) == b"up\n"

    def test_s06_a_port_of_the_task_can_be_reached(self, bench: Bench) -> None:
        self.need(bench, "flow_shell_forward")
        task = bench.started(bench.submit(_SERVER), b"\n")
        host, port = bench.provider.shell_forward(bench.ref(task), 0, int(bench.output(task)))
        with socket.create_connection((host, port), timeout=self.patience) as connection:
            assert connection.recv(5) == b"hello"
        bench.end(task)


def reachable(bench: Bench, task: Task) -> bool:
    """Say whether core can reach the task's nodes by itself."""
    try:
        return any(node.kind != "none" for node in bench.provider.node_access(bench.ref(task)))
    except FlowError:
        return False
