"""Tasks that really run in folders of this machine, and the node that reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from flow_core import nodes
from flow_core.bundle import build
from flow_core.errors import CapabilityError, ConfigError, NotFoundError
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

T = TypeVar("T")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder for tasks; what still runs in it afterwards is ended."""
    yield tmp_path / "root"
    for pid in _runners(tmp_path):
        psutil.Process(pid).kill()


def _runners(folder: Path) -> list[int]:
    found = (p for p in psutil.process_iter(["pid", "cmdline"]) if p.info["cmdline"])
    return [
        p.info["pid"] for p in found if any(str(folder) in word for word in p.info["cmdline"]) and p.pid != os.getpid()
    ]


def staged(root: Path, command: str | tuple[str, ...], **fields: object) -> Path:
    request_id = new_request_id()
    config = TaskConfig(command=command, **fields)  # type: ignore[arg-type]
    root.parent.mkdir(parents=True, exist_ok=True)
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


def started(root: Path, command: str | tuple[str, ...], **fields: object) -> Path:
    folder = staged(root, command, **fields)
    for rank in range(nodes.size(folder)):
        nodes.spawn(folder, rank)
    return folder


def until(look: Callable[[], T], seconds: float = 60.0) -> T:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
    return found


def ended(folder: Path) -> TaskReport:
    return until(lambda: report if (report := nodes.report(folder)).is_final else None)


def kill_runner(folder: Path) -> None:
    runner = psutil.Process(int((folder / ".runner.0").read_text().split()[2]))
    runner.kill()
    runner.wait(10)


def open_folder(folder: Path) -> nodes.Node:
    return nodes.open_node(NodeAccess(rank=0, kind="folder", path=str(folder)))


def text(chunks: Iterator[LogChunk], stream: str = "stdout") -> str:
    return b"".join(chunk.data for chunk in chunks if chunk.stream == stream).decode()


def test_a_spawned_task_runs_and_its_exit_code_is_reported(root: Path) -> None:
    report = ended(started(root, "exit 7"))
    assert (report.state, report.attempts[0].exit_code, report.attempts[0].nodes[0].exit_code) == ("failed", 7, 7)
    assert report.source == "node"


def test_before_it_is_spawned_it_is_pending(root: Path) -> None:
    assert nodes.report(staged(root, "true")).state == "pending"


def test_each_rank_has_its_own_node_report(root: Path) -> None:
    report = ended(started(root, "exit $RANK", num_instances=2))
    assert [node.rank for node in report.attempts[0].nodes] == [0, 1]
    assert (report.state, report.attempts[0].exit_code) == ("failed", 1)


def test_a_rank_that_was_started_is_not_started_again(root: Path) -> None:
    folder = started(root, "echo once; read x < gate", working_dir=str(root.parent))
    os.mkfifo(root.parent / "gate")
    first = (folder / ".runner.0").read_text()
    nodes.spawn(folder, 0)
    assert (folder / ".runner.0").read_text() == first
    (root.parent / "gate").write_text("go\n")
    assert ended(folder).state == "succeeded"
    nodes.spawn(folder, 0)
    assert (folder / "attempts" / "1" / "0" / "stdout").read_text() == "once\n"


def test_a_task_goes_on_when_its_runner_is_killed_and_a_new_one_takes_it_over(root: Path) -> None:
    os.makedirs(root)
    os.mkfifo(root / "gate")
    folder = started(root, f"echo once; read x < {root}/gate; exit 3")
    until(lambda: nodes.report(folder).state == "running")
    kill_runner(folder)
    nodes.spawn(folder, 0)
    (root / "gate").write_text("go\n")
    assert ended(folder).attempts[0].exit_code == 3
    assert (folder / "attempts" / "1" / "0" / "stdout").read_text() == "once\n"


def test_what_killed_runners_left_undone_is_done_when_somebody_looks(root: Path) -> None:
    os.makedirs(root)
    os.mkfifo(root / "gate")
    folder = started(root, f"read x < {root}/gate; exit 3")
    (folder / "secrets").write_text("{}")
    until(lambda: nodes.report(folder).state == "running")
    kill_runner(folder)
    (root / "gate").write_text("go\n")
    assert ended(folder).attempts[0].exit_code == 3
    until((folder / "final.json").exists)
    assert not (folder / "secrets").exists()


def test_a_task_whose_runner_was_killed_is_tried_again_when_somebody_looks(root: Path) -> None:
    os.makedirs(root)
    os.mkfifo(root / "gate")
    folder = started(root, f"[ $FLOW_ATTEMPT = 1 ] || exit 0; read x < {root}/gate; exit 3", retries=1)
    until(lambda: nodes.report(folder).state == "running")
    kill_runner(folder)
    (root / "gate").write_text("go\n")
    assert [attempt.state for attempt in ended(folder).attempts] == ["failed", "succeeded"]


def test_spawning_leaves_no_child_behind(root: Path) -> None:
    folder = started(root, "true")
    ended(folder)
    ours = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    running = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in ours}
    assert not [child for child, command in running.items() if not command or os.fsencode(folder) in command]


SUBMITTER = """
import sys
from pathlib import Path
from flow_core import nodes
nodes.spawn(Path(sys.argv[1]), 0)
"""


def test_a_task_outlives_the_process_that_spawned_it(root: Path) -> None:
    os.makedirs(root)
    os.mkfifo(root / "gate")
    folder = staged(root, f"read x < {root}/gate; exit 4")
    subprocess.run([sys.executable, "-c", SUBMITTER, folder], check=True)
    (root / "gate").write_text("go\n")
    assert ended(folder).attempts[0].exit_code == 4


def test_a_task_has_none_of_the_spawners_descriptors(root: Path) -> None:
    with open(os.devnull) as held:
        os.set_inheritable(held.fileno(), True)
        folder = started(root, ("/bin/ls", "-l", "/proc/self/fd"))
        ended(folder)
    listed = (folder / "attempts" / "1" / "0" / "stdout").read_text().splitlines()[1:]
    assert len(listed) == 4  # 0, 1, 2 and the folder that ls reads


def test_a_cancelled_task_ends(root: Path) -> None:
    folder = started(root, "sleep 60")
    until(lambda: nodes.report(folder).state == "running")
    assert nodes.cancel(folder, 5.0) is True
    assert ended(folder).state == "cancelled"
    assert nodes.cancel(folder, 5.0) is False


def test_a_cancel_is_fulfilled_although_the_runner_was_killed(root: Path) -> None:
    folder = started(root, "sleep 60")
    until(lambda: nodes.report(folder).state == "running")
    kill_runner(folder)
    assert nodes.cancel(folder, 5.0) is True
    assert ended(folder).state == "cancelled"


def test_a_folder_that_is_put_away_while_it_is_cancelled_is_no_error(root: Path) -> None:
    folder = staged(root / "tasks", "true")
    home = root / "done" / folder.name[-2:] / folder.name
    home.parent.mkdir(parents=True)

    def put_away(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("os.scandir", "os.listdir") and str(arguments[0]) == str(folder) and folder.exists():
            folder.rename(home)

    sys.addaudithook(put_away)
    assert nodes.cancel(folder, 1.0) is True
    assert home.exists()


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    gone = tmp_path / "tasks" / "flow-x"
    for ask in (
        nodes.report,
        nodes.size,
        lambda folder: nodes.cancel(folder, 1.0),
        lambda folder: nodes.spawn(folder, 0),
    ):
        with pytest.raises(NotFoundError, match="there is no task folder"):
            ask(gone)
    assert open_folder(gone).report() is None
    assert nodes.locate(tmp_path, "flow-x") is None


def test_a_served_task_is_found_where_it_lies_after_its_end(root: Path) -> None:
    folder = staged(root / "tasks", "echo out; exit 5", num_instances=1)
    nodes.serve(root, folder.name)
    node = open_folder(folder)
    assert text(node.read(LogCursor(), follow=True)) == "out\n"
    assert ended(folder).attempts[0].exit_code == 5
    moved = until(lambda: place if (place := nodes.locate(root, folder.name)) and place != folder else None)
    assert json.loads((moved / "final.json").read_text())["state"] == "failed"
    assert nodes.size(folder) == 1
    assert nodes.cancel(folder, 1.0) is False
    assert text(node.read(LogCursor())) == "out\n"
    assert node.report() is not None


def test_the_logs_are_followed_until_the_end_and_resumed_at_the_cursor(root: Path) -> None:
    os.makedirs(root)
    os.mkfifo(root / "gate")
    folder = started(root, f"printf abc; read x < {root}/gate; printf def; printf err >&2")
    stream = open_folder(folder).read(LogCursor(), follow=True)
    first = next(stream)
    assert (first.attempt, first.rank, first.stream, first.offset, first.data) == (1, 0, "stdout", 0, b"abc")
    cursor = LogCursor().after(first)
    stream.close()  # type: ignore[attr-defined]
    (root / "gate").write_text("go\n")
    rest = list(open_folder(folder).read(cursor, follow=True))
    assert (text(iter(rest)), text(iter(rest), "stderr")) == ("def", "err")


def test_a_follower_ends_when_it_is_told_to(root: Path) -> None:
    folder = started(root, "echo a; sleep 60")
    closed: list[bool] = []
    got = b""
    for chunk in open_folder(folder).read(LogCursor(), follow=True, closed=lambda: bool(closed)):
        got += chunk.data
        closed.append(True)
    assert got == b"a\n"
    nodes.cancel(folder, 0.0)
    ended(folder)


def test_ranks_and_streams_are_chosen(root: Path) -> None:
    folder = started(root, "echo $RANK; echo e$RANK >&2", num_instances=2)
    ended(folder)
    node = open_folder(folder)
    assert text(node.read(LogCursor(), ranks=[1], streams=["stdout"])) == "1\n"
    assert text(node.read(LogCursor(), ranks=[0], streams=["stderr"]), "stderr") == "e0\n"


def test_tail_is_a_cursor_before_the_last_lines(root: Path) -> None:
    folder = started(root, "seq 100")
    ended(folder)
    node = open_folder(folder)
    assert text(node.read(node.tail(3))) == "98\n99\n100\n"


def test_since_is_a_cursor_at_a_time(root: Path) -> None:
    folder = started(root, "seq 3")
    ended(folder)
    node = open_folder(folder)
    assert text(node.read(node.since(0.0))) == "1\n2\n3\n"
    assert text(node.read(node.since(time.time() + 60))) == ""


def test_a_signal_reaches_the_command(root: Path) -> None:
    folder = started(root, "trap 'exit 9' USR1; echo ready; while :; do sleep 0.02; done")
    node = open_folder(folder)
    next(iter(node.read(LogCursor(), follow=True)))
    node.signal("USR1")
    assert ended(folder).attempts[0].exit_code == 9
    with pytest.raises(ConfigError, match="NONSENSE"):
        node.signal("NONSENSE")


def test_exec_runs_in_the_tasks_environment(root: Path) -> None:
    folder = started(root, "sleep 60", env={"COLOUR": "blue"}, working_dir="/usr")
    until(lambda: nodes.report(folder).state == "running")
    session = open_folder(folder).exec(0, ["sh", "-c", "echo $COLOUR $FLOW_NODE_RANK; pwd; exit 6"])
    done = subprocess.run(session.argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("blue 0\n/usr\n", 6)
    nodes.cancel(folder, 0.0)
    ended(folder)


def test_files_are_put_and_got_with_their_mode(root: Path, tmp_path: Path) -> None:
    node = open_folder(staged(root, "true"))
    (tmp_path / "script").write_text("hello")
    (tmp_path / "script").chmod(0o750)
    assert node.put(tmp_path / "script", "new/put") == 5
    assert node.get("new/put", tmp_path / "back") == 5
    assert ((tmp_path / "back").read_text(), (tmp_path / "back").stat().st_mode & 0o777) == ("hello", 0o750)
    with pytest.raises(NotFoundError, match="there is no file"):
        node.get("none", tmp_path / "back")


def test_a_port_of_this_machine_needs_no_way_there(root: Path) -> None:
    assert open_folder(root).forward(8080) == ("127.0.0.1", 8080)


def test_a_kind_without_access_is_refused() -> None:
    with pytest.raises(CapabilityError, match="no way in"):
        nodes.open_node(NodeAccess(rank=0, kind="none"))


def test_a_runner_is_not_marked_as_part_of_the_task_that_spawned_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOW_TASK_ID", "outer")
    monkeypatch.setenv("FLOW_TASK_DIR", "/outer")
    folder = started(root, "sleep 60")
    until(lambda: nodes.report(folder).state == "running")
    runner = psutil.Process(int((folder / ".runner.0").read_text().split()[2]))
    assert not [name for name in runner.environ() if name.startswith("FLOW_TASK_")]
    nodes.cancel(folder, 0.0)
    ended(folder)


def test_a_big_log_comes_in_small_chunks(root: Path) -> None:
    folder = started(root, "head -c 5000000 /dev/zero")
    ended(folder)
    sizes = [len(chunk.data) for chunk in open_folder(folder).read(LogCursor())]
    assert (sum(sizes), max(sizes) <= 256 * 1024) == (5_000_000, True)
