"""A node behind a real sshd: what a folder here does, a folder there does, also when the connection breaks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import attrs
import psutil
import pytest

from flow_core import nodes
from flow_core.bundle import build
from flow_core.errors import AuthError, CapabilityError, ConfigError, NotFoundError, StateError, TransientError
from flow_core.nodes import _connection
from flow_core.types import (
    LogChunk,
    LogCursor,
    NodeAccess,
    ProviderFacts,
    Submission,
    TaskConfig,
    TaskReport,
    new_request_id,
)

if TYPE_CHECKING:
    from conftest import Sshd

T = TypeVar("T")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The folder of the tasks; what still runs in it afterwards is ended."""
    yield tmp_path / "root"
    for process in psutil.process_iter(["cmdline"]):
        if any(str(tmp_path / "root") in word for word in process.info["cmdline"] or ()):
            process.kill()


def access(sshd: Sshd, folder: Path | str, **changes: object) -> NodeAccess:
    whole = NodeAccess(
        rank=0,
        kind="ssh",
        path=str(folder),
        host="127.0.0.1",
        port=sshd.port,
        host_keys=(sshd.public_host_key,),
        identity_file=str(sshd.key),
    )
    return attrs.evolve(whole, **changes)


def opened(sshd: Sshd, folder: Path | str, **changes: object) -> nodes.Node:
    return nodes.open_node(access(sshd, folder, **changes), sshd.folder / "state")


def staged(root: Path, command: str, **fields: object) -> Path:
    root.parent.mkdir(exist_ok=True)
    request_id = new_request_id()
    config = TaskConfig(command=command, **fields)  # type: ignore[arg-type]
    bundle = build(
        config,
        task_id="t1",
        request_id=request_id,
        name="n",
        facts=ProviderFacts(shares_client_files=True),
        secrets={},
        cwd=root.parent,
        created_at=time.time(),
    )
    return nodes.stage(root, Submission(request_id, "t1", "toy", "toy", config, bundle))


def started(root: Path, command: str, **fields: object) -> Path:
    folder = staged(root, command, **fields)
    nodes.spawn(folder, 0)
    return folder


def until(look: Callable[[], T], seconds: float = 10.0) -> T:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return found


def ended(folder: Path) -> TaskReport:
    return until(lambda: report if (report := nodes.report(folder)).is_final else None)


def text(chunks: Iterator[LogChunk]) -> str:
    return b"".join(chunk.data for chunk in chunks).decode()


def test_the_report_is_that_of_the_folder_there(sshd: Sshd, root: Path) -> None:
    folder = started(root, "exit 7")
    until((folder / "final.json").exists)
    assert opened(sshd, folder).report() == nodes.report(folder)


def test_a_folder_that_is_not_there_has_no_report(sshd: Sshd, root: Path) -> None:
    node = opened(sshd, root / "none")
    assert node.report() is None
    with pytest.raises(NotFoundError, match="there is no task folder"):
        list(node.read(LogCursor()))
    with pytest.raises(NotFoundError, match="there is no task folder"):
        node.cancel(1.0)


def test_everything_shares_one_connection(sshd: Sshd, root: Path, sockets: Path) -> None:
    folder = staged(root, "true")
    for _ in range(3):
        opened(sshd, folder).report()
    opened(sshd, staged(root, "true")).report()
    assert [path.suffix for path in sockets.iterdir()] == [""]  # the lock it was made under is gone
    assert (sshd.folder / "sshd.log").read_text().count("Accepted publickey") == 1


def test_one_at_a_time_connects_and_leaves_no_lock(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        for _ in range(50):
            with _connection._alone(tmp_path / "socket"):
                inside.append(number)
                time.sleep(0.0001)  # long enough for another one to come in
                most.append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert (max(most), len(most)) == (1, 400)
    assert list(tmp_path.iterdir()) == []


def test_the_runner_is_installed_once_and_again_when_it_was_removed(sshd: Sshd, root: Path) -> None:
    folder = staged(root, "true")
    node = opened(sshd, folder)
    node.report()
    cache = sshd.home / ".cache" / "flow"
    first = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    node.report()
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == first
    assert len(first) == 2
    for path in cache.iterdir():
        path.unlink()
    assert node.report() is not None
    assert {path.name for path in cache.iterdir()} == set(first)


def test_the_logs_are_followed_until_the_end(sshd: Sshd, root: Path) -> None:
    root.mkdir()
    os.mkfifo(root / "gate")
    folder = started(root, f"echo a; read x < {root}/gate; seq 50000")
    stream = opened(sshd, folder).read(LogCursor(), follow=True)
    assert next(stream).data == b"a\n"
    (root / "gate").write_text("go\n")
    assert text(stream) == "".join(f"{n}\n" for n in range(1, 50001))


def test_a_cut_connection_loses_and_repeats_no_byte(sshd: Sshd, root: Path) -> None:
    root.mkdir()
    os.mkfifo(root / "gate")
    folder = started(root, f"echo a; read x < {root}/gate; seq 20000")
    stream = opened(sshd, folder).read(LogCursor(), follow=True)
    assert next(stream).data == b"a\n"
    sshd.cut()
    (root / "gate").write_text("go\n")
    assert text(stream) == "".join(f"{n}\n" for n in range(1, 20001))


def test_reading_goes_on_when_the_machine_comes_back(sshd: Sshd, root: Path) -> None:
    root.mkdir()
    os.mkfifo(root / "gate")
    folder = started(root, f"echo a; read x < {root}/gate; echo b")
    stream = opened(sshd, folder).read(LogCursor(), follow=True)
    next(stream)
    sshd.stop()
    back = threading.Timer(0.5, sshd.start)
    back.start()
    (root / "gate").write_text("go\n")
    assert text(stream) == "b\n"
    back.join()


def test_a_node_that_cannot_be_reached_is_no_state_of_the_task(
    sshd: Sshd, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = opened(sshd, staged(root, "true"))
    sshd.stop()
    with pytest.raises(TransientError, match=r"cannot be reached: .*refused"):
        node.report()
    monkeypatch.setattr("flow_core.nodes._logs._CUT_OFF", 0.0)
    with pytest.raises(TransientError, match="cannot be reached"):
        list(node.read(LogCursor(), follow=True))


def test_who_waits_for_a_machine_that_was_given_back_learns_so_at_once(
    sshd: Sshd, root: Path, sockets: Path, tmp_path: Path
) -> None:
    way = access(sshd, root / "tasks" / "none")
    assert sshd.process is not None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(nodes.run, way, f"touch {tmp_path}/up; exec sleep 60")
        until((tmp_path / "up").exists)
        server = [sshd.process, *psutil.Process(sshd.process.pid).children(recursive=True)]
        for process in server:
            os.kill(process.pid, signal.SIGSTOP)  # it is gone, and nothing closes the connection
        try:
            nodes.disconnect(way)
            with pytest.raises(TransientError):
                waiting.result(10)  # ssh by itself takes fifteen seconds to find out
            assert not [path for path in sockets.iterdir() if path.is_socket()]
        finally:
            for process in server:
                with suppress(ProcessLookupError):  # one was on its way out when it was stopped
                    os.kill(process.pid, signal.SIGCONT)


def test_a_connection_that_nobody_has_is_ended_and_made_again(sshd: Sshd, root: Path) -> None:
    way = access(sshd, root / "tasks" / "none")
    nodes.disconnect(way)
    assert nodes.run(way, "true")[0] == 0
    nodes.disconnect(way)
    nodes.disconnect(way)
    assert nodes.run(way, "true")[0] == 0


def test_a_follower_ends_when_it_is_told_to(sshd: Sshd, root: Path) -> None:
    folder = started(root, "echo a; sleep 60")
    closed: list[bool] = []
    got = b""
    for chunk in opened(sshd, folder).read(LogCursor(), follow=True, closed=lambda: bool(closed)):
        got += chunk.data
        closed.append(True)
    assert got == b"a\n"
    nodes.cancel(folder, 0.0)
    ended(folder)


def test_a_follower_that_leaves_while_the_task_ends_is_told_of_no_failure(
    sshd: Sshd, root: Path, tmp_path: Path
) -> None:
    folder = started(root, f"until [ -e {tmp_path}/go ]; do sleep 0.02; done")
    node = opened(sshd, folder)
    assert node.report().state == "running"  # the runner is there now

    def closed() -> bool:
        (tmp_path / "go").touch()
        return True

    assert list(node.read(LogCursor(), follow=True, closed=closed)) == []
    ended(folder)


def test_closing_a_stream_leaves_no_process(sshd: Sshd, root: Path) -> None:
    folder = started(root, "echo a; sleep 60")
    stream = opened(sshd, folder).read(LogCursor(), follow=True)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not [child for child in psutil.Process().children() if child.name() == "ssh"]
    nodes.cancel(folder, 0.0)
    ended(folder)


def test_streams_and_places_are_chosen(sshd: Sshd, root: Path) -> None:
    folder = started(root, "seq 10; echo e >&2")
    ended(folder)
    node = opened(sshd, folder)
    assert text(node.read(LogCursor(), streams=["stderr"], ranks=[0])) == "e\n"
    assert text(node.read(node.tail(2), streams=["stdout"])) == "9\n10\n"
    assert text(node.read(node.since(0.0), streams=["stdout"])).startswith("1\n2\n")
    assert text(node.read(node.since(time.time() + 60))) == ""


def test_a_task_is_cancelled_there(sshd: Sshd, root: Path) -> None:
    folder = started(root, "sleep 60")
    node = opened(sshd, folder)
    until(lambda: nodes.report(folder).state == "running")
    assert node.cancel(5.0) is True
    assert ended(folder).state == "cancelled"
    assert node.cancel(5.0) is False


def test_a_signal_reaches_the_command(sshd: Sshd, root: Path) -> None:
    folder = started(root, "trap 'exit 9' USR1; echo ready; while :; do sleep 0.02; done")
    node = opened(sshd, folder)
    next(iter(node.read(LogCursor(), follow=True)))
    node.signal("USR1")
    assert ended(folder).attempts[0].exit_code == 9
    with pytest.raises(ConfigError, match="NONSENSE"):
        node.signal("NONSENSE")


def test_exec_runs_in_the_tasks_environment_and_passes_words_as_they_are(sshd: Sshd, root: Path) -> None:
    folder = started(root, "sleep 60", env={"COLOUR": "blue"}, working_dir="/usr")
    until(lambda: nodes.report(folder).state == "running")
    words = ["two words", "quo'te", "$HOME", "*", ""]
    session = opened(sshd, folder).exec(
        0, ["sh", "-c", 'echo $COLOUR; pwd; for w; do echo "<$w>"; done; exit 6', "sh", *words]
    )
    done = subprocess.run(session.argv, env={**os.environ, **session.env}, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["blue", "/usr", *(f"<{word}>" for word in words)]
    assert done.returncode == 6
    nodes.cancel(folder, 0.0)
    ended(folder)


def test_files_are_put_and_got(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    node = opened(sshd, staged(root, "true"))
    data = os.urandom(3_000_000)
    (tmp_path / "here").write_bytes(data)
    (tmp_path / "here").chmod(0o750)
    assert node.put(tmp_path / "here", str(tmp_path / "new folder" / "th're")) == len(data)
    there = tmp_path / "new folder" / "th're"
    assert (there.read_bytes(), there.stat().st_mode & 0o777) == (data, 0o750)
    assert node.get(str(there), tmp_path / "back") == len(data)
    assert (tmp_path / "back").read_bytes() == data
    assert os.listdir(there.parent) == ["th're"]
    with pytest.raises(NotFoundError, match="there is no file"):
        node.get("none", tmp_path / "not")
    with pytest.raises(StateError, match="cannot write"):
        node.put(tmp_path / "here", "/proc/none")
    assert not (tmp_path / "not").exists()


def test_a_file_that_does_not_arrive_whole_is_not_written(sshd: Sshd, root: Path) -> None:
    folder = staged(root, "true")
    with pytest.raises(TransientError, match="incomplete"):
        opened(sshd, folder).put(Path("/proc/version"), "version")  # says that it has 0 bytes
    assert not (folder / "version").exists()


def test_a_big_log_comes_in_small_chunks(sshd: Sshd, root: Path) -> None:
    folder = started(root, "head -c 5000000 /dev/zero")
    ended(folder)
    sizes = [len(chunk.data) for chunk in opened(sshd, folder).read(LogCursor())]
    assert (sum(sizes), max(sizes) <= 256 * 1024) == (5_000_000, True)


def test_a_port_there_is_reached_from_here(sshd: Sshd, root: Path) -> None:
    node = opened(sshd, staged(root, "true"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = node.forward(server.getsockname()[1])
        with socket.create_connection(here, timeout=10) as client:
            served, _ = server.accept()
            served.sendall(b"hello")
            served.close()
            assert client.recv(5) == b"hello"
    node.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(here, timeout=10)


def test_a_login_script_that_talks_does_no_harm(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    folder = started(root, "echo out")
    ended(folder)
    noisy = sshd.folder / "authorized"
    noisy.write_text(
        f'command="echo Welcome; echo to this machine; eval \\"$SSH_ORIGINAL_COMMAND\\"" {noisy.read_text()}'
    )
    node = opened(sshd, folder)
    assert node.report() is not None
    assert text(node.read(LogCursor())) == "out\n"
    assert node.tail(1).positions[1, 0, "stdout"].offset == 0
    (tmp_path / "a").write_text("file")
    node.put(tmp_path / "a", "a")
    assert node.get("a", tmp_path / "b") == 4


def test_a_task_of_a_queue_is_found_where_it_lies_after_its_end(sshd: Sshd, root: Path) -> None:
    folder = staged(root / "tasks", "echo out")
    nodes.serve(root, folder.name)
    until(lambda: (place := nodes.locate(root, folder.name)) and place != folder)
    node = opened(sshd, folder)
    assert node.report() is not None
    assert text(node.read(LogCursor())) == "out\n"


def test_a_host_with_another_key_than_the_pinned_one_is_refused(sshd: Sshd, root: Path) -> None:
    other = sshd.make_key(sshd.folder / "other")
    with pytest.raises(AuthError, match="another host key"):
        opened(sshd, root, host_keys=(other,)).report()


def test_a_host_nobody_vouches_for_is_refused(sshd: Sshd, root: Path) -> None:
    with pytest.raises(AuthError, match=r"host key of .* is not known"):
        opened(sshd, root, host_keys=(), trust="pinned").report()


def test_a_key_that_was_trusted_on_first_use_is_pinned_from_then_on(sshd: Sshd, root: Path) -> None:
    node = opened(sshd, staged(root, "true"), host_keys=(), trust="first-use")
    assert node.report() is not None
    sshd.stop()
    sshd.host_key.unlink()
    sshd.make_key(sshd.host_key)
    sshd.start()
    with pytest.raises(AuthError, match="another host key"):
        node.report()


def test_a_login_that_is_refused_is_not_tried_again(sshd: Sshd, root: Path) -> None:
    sshd.make_key(sshd.folder / "stranger")
    node = opened(sshd, root, identity_file=str(sshd.folder / "stranger"))
    with pytest.raises(AuthError, match="refused the login"):
        node.report()
    with pytest.raises(AuthError, match="refused the login"):
        list(node.read(LogCursor(), follow=True))


def test_a_node_without_python_says_so(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("cat", "mkdir", "mv", "rm", "wc"):
        (tools / tool).symlink_to(f"/bin/{tool}")
    (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tools / "python3").chmod(0o755)
    sshd.stop()
    sshd.start(path=str(tools))
    with pytest.raises(CapabilityError, match=r"no Python 3\.8 or newer"):
        opened(sshd, staged(root, "true")).report()


def test_the_users_own_ssh_config_counts_and_a_jump_host_is_used(
    sshd: Sshd, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "known"
    known.write_text(f"* {sshd.public_host_key}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Host gate node\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {sshd.key}\n"
        f" UserKnownHostsFile {known}\n RemoteCommand echo not this\n LocalForward 1 localhost:1\n"
    )
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nexec ssh -F {config} "$@"\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("FLOW_SSH", str(tmp_path / "ssh"))
    folder = staged(root, "true")
    there = NodeAccess(rank=0, kind="ssh", path=str(folder), host="node", jump="gate")
    assert nodes.open_node(there, tmp_path / "state").report() is not None
    log = (sshd.folder / "sshd.log").read_text()
    assert log.count("Accepted publickey") == 2


def test_a_socket_folder_of_somebody_else_is_refused(sshd: Sshd, root: Path, sockets: Path) -> None:
    sockets.mkdir()
    sockets.chmod(0o777)
    with pytest.raises(StateError, match="not a private folder"):
        opened(sshd, root).report()
