"""The Python face under what programs do to it: threads, forks, early ends, odd streams, other folders."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import flow_core as flow_module
from flow_core import Flow
from flow_core.errors import ConfigError


def _open_here() -> tuple[int, int]:
    """The numbers of threads and of descriptors that no garbage holds."""
    gc.collect()
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def test_eight_threads_submit_through_one_client(flow: Flow) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.extend(flow.submit("true").id for _ in range(10))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 80
    assert {flow.task(one).wait(timeout=30) for one in found} == {0}


_FORKS = """
import os, sys
from flow_core import Flow
client = Flow()
assert client.submit("true").wait() == 0
child = os.fork()
task = client.submit("exit 4" if child else "exit 2")
code = task.wait(timeout=30)
if not child:
    os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
sys.exit(code)
"""


def test_a_forked_child_uses_the_same_client(flow: Flow) -> None:
    assert subprocess.run([sys.executable, "-c", _FORKS], check=False, timeout=30).returncode == 4
    assert sorted(task.exit_code for task in flow.tasks()) == [0, 2, 4]


def test_readers_that_stop_early_and_waits_that_time_out_leave_nothing_open(flow: Flow) -> None:
    task = flow.submit("yes | head -c 3000000; sleep 60")
    next(task.logs(follow=True))
    before = _open_here()
    for _ in range(10):
        reading = task.logs(follow=True)
        next(reading)
        reading.close()  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError):
            task.wait(timeout=0.01)
    assert _open_here() <= before


def test_three_hundred_submits_leave_nothing_open(flow: Flow) -> None:
    flow.submit("true").wait()
    before = _open_here()
    tasks = [flow.submit("true") for _ in range(300)]
    assert tasks[-1].wait(timeout=30) == 0
    assert _open_here() <= before


@pytest.mark.parametrize("timeout", [0.0, 0.05, 0.7])
def test_a_wait_that_is_too_long_is_a_timeout_error_that_names_the_task(flow: Flow, timeout: float) -> None:
    task = flow.submit("sleep 60")
    with pytest.raises(TimeoutError, match=task.id):
        task.wait(timeout=timeout)
    assert task.status in ("pending", "running")


def test_output_goes_into_a_notebook(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert flow.run("printf 'h\\303'; sleep 0.1; printf '\\251\\n'; echo no >&2").exit_code == 0
    assert (out.getvalue(), err.getvalue()) == ("hé\n", "no\n")


def test_a_program_without_a_console_runs_tasks(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert flow.run("echo out; exit 3").exit_code == 3


def test_what_is_tried_again_from_elsewhere_runs_where_it_ran(
    flow: Flow, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = flow.submit("pwd", name="where")
    first.wait()
    monkeypatch.chdir(tmp_path)
    again = Flow().retry("where")
    assert again.wait(timeout=30) == 0
    assert b"".join(chunk.data for chunk in again.logs()) == f"{project}\n".encode()


def test_a_mount_is_looked_for_where_the_client_is(home: Path, tmp_path: Path, project: Path) -> None:
    (tmp_path / "other" / "data").mkdir(parents=True)
    plan = Flow(tmp_path / "other").plan(Flow(tmp_path / "other").config("true", mounts=["./data:/data"]))
    assert plan.config.mounts[0].target == "/data"
    with pytest.raises(ConfigError, match="does not exist"):
        Flow(project).plan(Flow(project).config("true", mounts=["./data:/data"]))


def test_everything_that_is_missing_is_named_at_once(flow: Flow) -> None:
    with pytest.raises(ConfigError) as caught:
        flow.submit("true", secrets=["NOT_SET_ANYWHERE"], depends_on=["nobody"], code={"root": "gone"})
    assert {problem.path for problem in caught.value.problems} == {"secrets", "depends_on[0]", "code.root"}
    assert flow.tasks() == []


def test_a_task_that_is_refused_makes_no_volume(flow: Flow) -> None:
    with pytest.raises(ConfigError):
        flow.submit("true", volumes=[{"name": "data", "create": True}], depends_on=["nobody"])
    assert flow.volumes() == []


@pytest.mark.parametrize("name", ["..", "../up", "a/b", ".hidden", "", "-rf", "a b"])
def test_a_volume_has_a_name_that_is_no_path(flow: Flow, home: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="volume"):
        flow.create_volume(name)
    assert flow.volumes() == []


def test_a_cancel_between_two_attempts_is_a_cancel(flow: Flow, eventually) -> None:
    task = flow.submit("exit 1", retries=5)
    eventually(lambda: [attempt.state for attempt in task.attempts] == ["failed"])
    assert task.cancel() is True
    task.wait(timeout=30)
    assert (task.status, task.reason) == ("cancelled", "cancelled by request")


def test_the_first_failure_of_a_chain_is_the_reason_of_them_all(flow: Flow) -> None:
    first = last = flow.submit("exit 9")
    for _ in range(20):
        last = flow.submit("true", depends_on=[last.id])
    last.wait(timeout=30)
    assert (last.status, last.reason) == ("failed", f"it depends on {first.id}, which ended as failed: exit code 9")


@pytest.mark.timeout(20)
def test_a_megabyte_of_command_is_refused_by_the_kernel_and_said(flow: Flow) -> None:
    task = flow.submit("echo " + "x" * (1 << 20))
    assert task.wait() == 125
    assert task.reason == "the command cannot be started: Argument list too long"


def test_functions_of_the_module_use_the_folder_they_are_called_in(flow: Flow, project: Path) -> None:
    (project / "below").mkdir()
    os.chdir(project / "below")
    task = flow_module.run("pwd", stream=False)
    assert b"".join(chunk.data for chunk in task.logs()) == f"{project}/below\n".encode()


def test_the_tasks_own_exit_record_is_believed_before_the_provider(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    from flow_core import TaskReport
    from flow_local import LocalProvider

    monkeypatch.setattr(LocalProvider, "_report", lambda *_: TaskReport("failed", "exit code 1", source="provider"))
    task = flow.submit("sleep 0.2; exit 7")
    for _ in task.logs(follow=True):
        pass
    assert (task.status, task.exit_code) == ("failed", 7)


def test_a_task_is_found_again_by_what_it_is_sent_to(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLOW_DEFAULT", "local")
    task = flow_module.submit("exit 3")
    again = pickle.loads(pickle.dumps(task))
    assert (again.wait(), again.id) == (3, task.id)
    assert again == task
    assert {again, task} == {copy.deepcopy(task)}


def test_a_task_of_another_environment_is_not_sent(flow: Flow) -> None:
    with pytest.raises(TypeError, match="send its id instead"):
        pickle.dumps(Flow(environ=dict(os.environ)).task(flow.submit("true").id))


@pytest.mark.parametrize("command", [3, b"true", Path("run.sh"), {"a": 1}])
def test_what_is_no_command_is_refused_by_its_kind(flow: Flow, command: object) -> None:
    with pytest.raises(ConfigError, match=r"command: must be text or a list of arguments"):
        flow.submit(command)  # type: ignore[arg-type]
