"""Images: with podman and with a real Docker daemon, tasks in containers are as tasks without."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import pytest

from flow_core import ConfigError, Flow, Task
from flow_core.runner import record

from . import engines
from .engines import IMAGE, TestEngine

STOPPED = "trap 'echo stopped; exit 3' TERM; echo ready; while true; do sleep 0.05; done"


def until(what: str, true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def podman() -> Iterator[TestEngine]:
    if absent := engines.missing("podman", "busybox"):
        pytest.skip(f"not installed: {absent}")
    with engines.podman() as engine:
        yield engine


@pytest.fixture(scope="session")
def docker() -> Iterator[TestEngine]:
    if absent := engines.missing("dockerd", "docker", "busybox"):
        pytest.skip(f"not installed: {absent}")
    if os.getuid():
        pytest.skip("only root may start a Docker daemon")
    with engines.docker() as engine:
        yield engine


@pytest.fixture(params=["podman", "docker"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, home: Path) -> TestEngine:
    found: TestEngine = request.getfixturevalue(request.param)
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    config = home / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"default: here\nprofiles:\n  here:\n    provider: local\n    container_engine: {found.name}\n")
    return found


@pytest.fixture
def contained(engine: TestEngine, flow: Flow) -> Iterator[Flow]:
    """The client, on a machine with one engine; nothing is left of the containers of its tasks."""
    yield flow
    for task in flow.tasks(limit=None, states=("pending", "provisioning", "running")):
        task.cancel(grace=0.0)
        task.wait(timeout=30)
    until("no container is left", lambda: engine.containers() == [])


def output(task: Task, stream: str = "stdout") -> bytes:
    return b"".join(chunk.data for chunk in task.logs(follow=True) if chunk.stream == stream)


def folder(task: Task, home: Path) -> Path:
    reference = task.row.ref or ""
    found = record.locate(str(home / "state" / "local"), reference.rpartition(":")[2])
    assert found is not None
    return Path(found)


def end(task: Task, home: Path) -> record.Exit:
    return record.read_exit(str(folder(task, home) / "attempts/1/0/exit"))


def began(task: Task) -> None:
    until("it is ready", lambda: b"ready\n" in b"".join(chunk.data for chunk in task.logs()))


@pytest.mark.parametrize("code", [0, 1, 125, 126, 127, 200])
def test_the_exit_code_is_the_commands(contained: Flow, code: int) -> None:
    task = contained.submit(f"exit {code}", image=IMAGE)
    assert (task.wait(), output(task, "stderr")) == (code, b"")


def test_it_runs_in_the_image(contained: Flow) -> None:
    assert output(contained.submit(["cat", "/etc/from-the-image"], image=IMAGE)) == b"yes\n"


def test_a_signal_is_128_and_its_number(contained: Flow) -> None:
    task = contained.submit("kill -9 $$", image=IMAGE)
    assert task.wait() == 137
    assert "SIGKILL" in task.reason


def test_a_command_that_the_image_has_not_is_127(contained: Flow) -> None:
    task = contained.submit(["no-such-command"], image=IMAGE)
    assert task.wait() == 127
    assert b"no-such-command" in output(task, "stderr")


def test_an_image_that_cannot_be_had_is_125_with_the_engines_words(contained: Flow) -> None:
    task = contained.submit("true", image="127.0.0.1:1/none:1")
    assert task.wait(timeout=60) == 125
    assert b"127.0.0.1:1" in output(task, "stderr")


@pytest.mark.parametrize("shell", [True, False])
def test_the_logs_are_the_bytes_that_were_written(contained: Flow, project: Path, shell: bool) -> None:
    data = bytes(range(256)) * 4000
    (project / "data").write_bytes(data)
    words = "cat data; cat data data >&2"
    task = contained.submit(words if shell else ["/bin/sh", "-ec", words], image=IMAGE)
    assert sha256(output(task)).digest() == sha256(data).digest()
    assert output(task, "stderr") == data * 2


def test_a_shell_command_has_the_log_files_themselves(contained: Flow, home: Path) -> None:
    task = contained.submit("readlink /proc/self/fd/1; readlink /proc/$$/fd/2", image=IMAGE)
    names = [line.rpartition("/")[2] for line in output(task).decode().splitlines()]
    assert names == ["stdout", "stderr"]


def test_the_environment_is_the_tasks_and_the_images(contained: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/some/venv")
    given = {"MINE": "a b\nc=d", "EMPTY": "", "QUOTED": "'\"$HOME", "LD_LIBRARY_PATH": "/lib", "HOME": "/tmp"}
    seen = output(contained.submit("env -0", image=IMAGE, env=given)).decode().split("\0")
    assert {f"{name}={value}" for name, value in given.items()} <= set(seen)
    names = {line.partition("=")[0] for line in seen}
    assert {"FLOW_TASK_ID", "RANK", "WORLD_SIZE", "MASTER_ADDR", "PATH"} <= names
    assert not {"VIRTUAL_ENV", "LANG", "LC_CTYPE"} & names


def test_a_secret_is_in_the_environment_and_in_no_argument(
    contained: Flow, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setenv("TOKEN", "hush-4711-hush")
    task = contained.submit(
        "echo ready; until [ -e go ]; do sleep 0.05; done; echo $TOKEN", image=IMAGE, secrets=["TOKEN"]
    )
    began(task)
    arguments = [_read(entry / "cmdline") for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    (project / "go").touch()
    assert output(task) == b"ready\nhush-4711-hush\n"
    assert not [words for words in arguments if b"hush-4711-hush" in words]


def test_a_secret_file_is_there(contained: Flow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKEN", "hush")
    path = tmp_path / "token"
    task = contained.submit(["cat", str(path)], image=IMAGE, secrets=[{"name": "TOKEN", "file": str(path)}])
    assert output(task) == b"hush"


def test_code_is_there_in_place_and_what_is_written_belongs_to_the_user(contained: Flow, project: Path) -> None:
    (project / "here.txt").write_text("here")
    assert output(contained.submit("cat here.txt; pwd; touch made", image=IMAGE)).decode() == f"here{project}\n"
    assert (project / "made").stat().st_uid == os.getuid()


def test_a_snapshot_is_there(contained: Flow, project: Path) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "file.txt").write_text("kept")
    assert output(contained.submit("cat file.txt", image=IMAGE, code="snapshot", working_dir="sub")) == b"kept"


def test_mounts_and_volumes_are_there(contained: Flow, tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    for name in ("data", "a:b"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "x").write_text(name)
    task = contained.submit(
        "cat /in/x /odd/x; touch /in/no; echo kept > /keep/x",
        image=IMAGE,
        mounts=[
            {"source": str(tmp_path / "data"), "target": "/in", "read_only": True},
            {"source": str(tmp_path / "a:b"), "target": "/odd"},
        ],
        volumes=[{"name": "keep", "target": "/keep", "create": True}],
    )
    assert task.wait(timeout=30) == 0
    assert output(task) == b"dataa:b"
    assert b"Read-only" in output(task, "stderr")
    assert output(contained.submit("cat /v/x", image=IMAGE, volumes=["keep:/v"])) == b"kept\n"


def test_a_cancel_reaches_the_command_which_may_end_in_its_own_way(contained: Flow) -> None:
    task = contained.submit(STOPPED, image=IMAGE)
    began(task)
    task.cancel()
    assert task.wait(timeout=30) == 3
    assert (task.status, output(task)) == ("cancelled", b"ready\nstopped\n")


def test_what_does_not_heed_the_stop_signal_is_killed(contained: Flow) -> None:
    task = contained.submit("trap '' TERM; echo ready; while true; do sleep 0.05; done", image=IMAGE)
    began(task)
    task.cancel(grace=0.2)
    assert task.wait(timeout=30) == 137
    assert task.status == "cancelled"


def test_the_time_limit_ends_it(contained: Flow) -> None:
    task = contained.submit(STOPPED, image=IMAGE, time_limit=1.5)
    assert task.wait(timeout=30) == 124
    assert task.attempts[0].exit_code == 3


def test_a_command_in_the_background_ends_with_the_task(contained: Flow) -> None:
    task = contained.submit("sleep 4713 & echo ready", image=IMAGE)
    assert task.wait(timeout=30) == 0
    until("nothing is left", lambda: not _running(b"sleep\x004713"))


def test_a_killed_engine_is_a_failure_and_its_container_goes(contained: Flow, engine: TestEngine, home: Path) -> None:
    task = contained.submit("echo ready; sleep 4714", image=IMAGE)
    began(task)
    until("its command is known", lambda: end(task, home).task)
    os.kill(end(task, home).task[0], signal.SIGKILL)  # type: ignore[index]
    assert task.wait(timeout=30) == 137
    until("nothing is left", lambda: not _running(b"sleep\x004714") and not engine.containers())


def test_its_end_is_seen_when_the_watcher_and_the_server_were_killed(
    contained: Flow, home: Path, project: Path
) -> None:
    task = contained.submit("echo ready; until [ -e go ]; do sleep 0.05; done; exit 5", image=IMAGE)
    _orphan(task, home)

    def followed() -> bool:
        task.refresh()
        return _is_followed(end(task, home).task[0], home)  # type: ignore[index]

    until("another server follows its command", followed)
    (project / "go").touch()
    assert task.wait(timeout=30) == 5


def test_a_cancel_ends_it_when_the_watcher_and_the_server_were_killed(contained: Flow, home: Path) -> None:
    task = contained.submit(STOPPED, image=IMAGE)
    _orphan(task, home)
    task.cancel()
    assert task.wait(timeout=30) == 3
    assert task.status == "cancelled"


def test_all_killed_at_once_leaves_no_container(contained: Flow, engine: TestEngine, home: Path) -> None:
    task = contained.submit("echo ready; sleep 4715", image=IMAGE)
    _orphan(task, home, end_too=True)
    until("it has ended", lambda: task.status in ("failed", "lost"))
    until("nothing is left", lambda: not _running(b"sleep\x004715") and not engine.containers())


def _orphan(task: Task, home: Path, end_too: bool = False) -> None:
    """Kill the watcher, if asked for the engine's command, and the server."""
    began(task)
    until("its command is known", lambda: end(task, home).task)
    found = end(task, home)
    root = os.fsencode(str(home / "state" / "local"))
    assert found.task
    assert found.watcher
    for pid in [found.watcher, *([found.task[0]] if end_too else []), *_running(b"serve\0" + root)]:
        os.kill(pid, signal.SIGKILL)
    until("the servers are gone", lambda: not _running(b"serve\0" + root))


def _is_followed(pid: int, home: Path) -> bool:
    """Whether a server holds a pidfd of a process: an end before that would be seen by nobody."""
    held = set()
    for server in _running(b"serve\0" + os.fsencode(str(home / "state" / "local"))):
        with suppress(OSError):
            held |= {file.read_text() for file in Path(f"/proc/{server}/fdinfo").iterdir()}
    return any(f"Pid:\t{pid}\n" in text for text in held)


def test_exec_runs_beside_it_in_the_container(contained: Flow, project: Path) -> None:
    import subprocess

    task = contained.submit("echo ready; sleep 60", image=IMAGE, env={"MINE": "1"})
    began(task)
    session = task.exec(["sh", "-c", "cat /etc/from-the-image; pwd; echo $MINE $FLOW_TASK_ID; exit 4"])
    done = subprocess.run(session.argv, env={**os.environ, **session.env}, capture_output=True, check=False)
    assert done.stdout.decode() == f"yes\n{project}\n1 {task.id}\n"
    assert done.returncode == 4


def test_a_service_is_ready_and_reached(contained: Flow, project: Path) -> None:
    (project / "index.html").write_text("hello")
    task = contained.submit(
        'exec httpd -f -p "127.0.0.1:$FLOW_PORT_WEB" -h .',
        image=IMAGE,
        ports=["web=0"],
        health={"http": "/", "interval": 0.2},
    )
    until("it is ready", lambda: task.ready)
    host, port = task.forward("web")
    with urlopen(f"http://{host}:{port}/") as answer:
        assert answer.read() == b"hello"


def test_a_health_command_runs_in_the_container_and_one_that_hangs_is_killed(contained: Flow, project: Path) -> None:
    task = contained.submit(
        "echo ready; sleep 60",
        image=IMAGE,
        health={
            "command": "test -e /etc/from-the-image || exit 1; if [ -e ill ]; then sleep 4716; fi",
            "interval": 0.2,
            "timeout": 2.0,
            "failures": 1,
            "start_period": 60.0,  # the first look may take its engine longer
        },
    )
    until("it is ready", lambda: task.ready)
    (project / "ill").touch()
    assert task.wait(timeout=40) != 0
    assert task.reason == "unhealthy: no answer within 2 s"
    until("nothing is left", lambda: not _running(b"sleep\x004716"))


def test_each_process_of_a_node_has_a_container(contained: Flow) -> None:
    task = contained.submit("echo $RANK/$WORLD_SIZE", image=IMAGE, processes_per_node=2, num_instances=2)
    lines = sorted(output(task).decode().split())
    assert lines == ["0/4", "1/4", "2/4", "3/4"]


def test_retries_are_new_containers(contained: Flow) -> None:
    task = contained.submit("[ $FLOW_ATTEMPT = 2 ]", image=IMAGE, retries=1)
    assert task.wait(timeout=40) == 0
    assert len(task.attempts) == 2


def test_claims_are_the_containers_limits(contained: Flow, engine: TestEngine) -> None:
    task = contained.submit("echo ready; sleep 60", image=IMAGE, cpus=1, memory="64MiB")
    began(task)
    name = engine.containers()[0]
    limits = engine("inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", name).split()
    assert limits == [str(64 * 1024**2), "1000000000"]


def test_an_engine_that_is_not_there_is_refused_with_what_to_install(
    flow: Flow, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError) as refused:
        flow.submit("true", image=IMAGE)
    problem = refused.value.problems[0]
    assert (problem.path, problem.code) == ("image", "NO_ENGINE")
    assert "podman is not installed; docker is not installed; apptainer is not installed" in problem.message
    assert "install podman" in problem.hint


def test_an_engine_that_does_not_work_is_said_with_its_own_words(
    flow: Flow, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\necho no storage for you >&2\nexit 125\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="1 problem") as refused:
        flow.submit("true", image=IMAGE)
    assert "podman does not work: no storage for you" in refused.value.problems[0].message


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _running(words: bytes) -> list[int]:
    """Return the processes with these words in their arguments."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and words in _read(entry / "cmdline") and int(entry.name) != os.getpid()
    ]


def test_a_container_that_runs_out_of_memory_is_told_so(contained: Flow) -> None:
    task = contained.submit("x=a; while :; do x=$x$x; done", image=IMAGE, memory="64MiB")
    assert task.wait(timeout=60) == 137
    assert task.reason == "killed for memory (limit 64 MiB): raise `memory:`"


def test_a_container_that_somebody_kills_is_not_called_out_of_memory(contained: Flow) -> None:
    task = contained.submit("kill -9 $$", image=IMAGE, memory="64MiB")
    assert task.wait(timeout=60) == 137
    assert "memory" not in task.reason
