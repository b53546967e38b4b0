"""Nothing of a task's results is lost when its store, its uploader, its machine or its disk fails for a while."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from flow_core.client import Flow, Task
from flow_core.errors import LogsGoneError, QuotaError
from flow_core.nodes import report
from flow_core.runner.record import done_dir, read_json
from flow_core.types import Submission, TaskRef, parse_ref
from flow_web_store import PATIENCE, Kept, Server


def folder(flow: Flow, task: Task) -> Path:
    """Where the folder of an ended task lies."""
    root, name = Path(os.environ["FLOW_HOME"]) / "state" / "local", parse_ref(task.row.ref or "")[2].id
    place = Path(done_dir(str(root), name))
    until(place.is_dir)
    return place


def vanish(place: Path) -> None:
    """Take a folder away at once, though somebody may still write there."""
    place.rename(Path(os.environ["FLOW_HOME"]) / "gone")


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def upload_state(place: Path) -> str:
    return str((read_json(str(place / "upload.json")) or {}).get("state"))


def processes(text: str) -> list[int]:
    """The processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_the_end_is_told_at_once_while_the_store_is_away_and_the_results_come_when_it_is_back(
    flow: Flow, web: Server, kept: Kept
) -> None:
    task = flow.submit("sleep 0.3; echo one >a", outputs=["a"], result_store="web")
    web.stop()
    assert task.wait(timeout=PATIENCE) == 0
    place = folder(flow, task)
    until(lambda: upload_state(place) == "waiting")
    assert (report(place).state, report(place).machine_held) == ("succeeded", True)
    flow.refresh([task.id])
    keeping = flow.session.journal.keeping(task.id)
    assert keeping is not None
    assert keeping.phase == "open"
    web.start()
    assert kept(flow, task) == "kept"
    until(lambda: not report(place).machine_held)
    assert task.artifacts[0].open().read() == b"one\n"


def test_a_killed_uploader_goes_on_with_what_is_missing_and_finishes_once(flow: Flow, web: Server, kept: Kept) -> None:
    web.refuse_after = 2
    task = flow.run("for n in 1 2 3 4; do echo $n >f$n; done", outputs=["f*"], result_store="web", stream=False)
    place = folder(flow, task)
    until(lambda: upload_state(place) == "waiting")
    (pid,) = processes(f"upload\0{place}")
    os.kill(pid, signal.SIGKILL)
    web.refuse_after = None
    assert kept(flow, task) == "kept"
    assert len(web.puts) == len(set(web.puts))
    assert [one.open().read() for one in task.artifacts] == [b"1\n", b"2\n", b"3\n", b"4\n"]
    until(lambda: not (place / "tickets.json").exists())  # the manifest is there a moment before
    assert len([line for line in (place / "uploads.jsonl").read_text().splitlines() if "final.json" in line]) == 1


def test_uploader_and_server_killed_the_next_command_brings_the_results_there(
    flow: Flow, web: Server, kept: Kept
) -> None:
    web.refuse_after = 0
    task = flow.run("echo one >a", outputs=["a"], result_store="web", stream=False)
    place = folder(flow, task)
    until(lambda: upload_state(place) == "waiting")
    kill_all_of_local()
    web.refuse_after = None
    assert kept(flow, task) == "kept"


def test_a_server_killed_after_the_end_was_told_and_before_it_was_written_is_made_up_for(
    flow: Flow, web: Server, kept: Kept
) -> None:
    left = "(trap '' TERM; while :; do sleep 0.1; done)"  # what the server is busy with
    task = flow.submit(f"echo one >a; {left} & exit 0", outputs=["a"], result_store="web")
    until(lambda: flow.task(task.id).status == "succeeded")
    assert not list(Path(os.environ["FLOW_HOME"]).glob("state/local/done/*/*"))
    kill_all_of_local()
    assert kept(flow, task) == "kept"


def kill_all_of_local() -> None:
    ours = str(Path(os.environ["FLOW_HOME"]) / "state" / "local")
    while pids := processes(ours):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_an_uploader_whose_folder_is_gone_ends(flow: Flow, web: Server) -> None:
    web.refuse_after = 0
    task = flow.run("echo one >a", outputs=["a"], result_store="web", stream=False)
    place = folder(flow, task)
    until(lambda: upload_state(place) == "waiting")
    assert processes(f"upload\0{place}")
    until(lambda: shutil.rmtree(place.parents[2], ignore_errors=True) or not place.parents[2].exists())
    until(lambda: not processes(f"upload\0{place}"))


def test_refused_tickets_are_replaced_by_the_next_command(flow: Flow, web: Server, home: Path, kept: Kept) -> None:
    web.refuse_after = 0
    task = flow.submit("echo one >a", outputs=["a"], result_store="web")
    web.key = "second"
    (home / "key").write_text("second")
    web.refuse_after = None
    assert kept_after_end(flow, task, kept) == "kept"


def kept_after_end(flow: Flow, task: Task, kept: Kept) -> str:
    task.wait(timeout=PATIENCE)
    return kept(flow, task)


def test_tickets_are_in_no_file_others_read_and_gone_when_all_is_there(
    flow: Flow, web: Server, home: Path, kept: Kept
) -> None:
    web.key = "sesame-of-this-test"
    (home / "key").write_text(web.key)
    task = flow.submit("sleep 0.3; echo one >a; env", outputs=["a"], result_store="web")
    task.wait(timeout=PATIENCE)
    place = folder(flow, task)
    assert kept(flow, task) == "kept"
    (home / "key").unlink()
    until(lambda: not (place / "tickets.json").exists())  # the manifest is there a moment before
    told = [path for path in home.rglob("*") if path.is_file() and web.key.encode() in path.read_bytes()]
    assert told == []


def test_logs_and_end_come_from_the_store_when_the_machine_is_gone(flow: Flow, web: Server, kept: Kept) -> None:
    task = flow.run("echo said; echo so >&2; exit 4", result_store="web", stream=False)
    assert kept(flow, task) == "kept"
    vanish(folder(flow, task))
    found = {(chunk.stream, chunk.data) for chunk in flow.task(task.id).logs()}
    assert found == {("stdout", b"said\n"), ("stderr", b"so\n")}
    assert b"".join(chunk.data for chunk in flow.task(task.id).logs(tail=1, streams=("stdout",))) == b"said\n"


def test_without_a_store_the_logs_are_gone_with_the_machine_and_the_error_says_so(flow: Flow) -> None:
    task = flow.run("echo said", stream=False)
    vanish(folder(flow, task))
    with pytest.raises(LogsGoneError) as caught:
        list(flow.task(task.id).logs())
    assert (caught.value.code, caught.value.exit_code) == ("LOGS_GONE", 66)


def test_a_machine_that_vanished_after_its_upload_did_not_lose_the_end(flow: Flow, web: Server, kept: Kept) -> None:
    task = flow.submit("exit 7", result_store="web")
    until(lambda: f"tasks/{task.id}/final.json" in web.stored())
    place = folder(flow, task)
    until(lambda: not (place / "tickets.json").exists())
    vanish(place)
    assert task.wait(timeout=PATIENCE) == 7


def test_a_folder_store_on_a_full_disk_keeps_the_results_on_the_node(
    flow: Flow, home: Path, tmp_path: Path, kept: Kept
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting needs root")
    try:
        (home / "config.yaml").write_text(f"result_stores:\n  small: {{store: folder, root: '{disk}/kept'}}\n")
        flow = Flow(flow.session.cwd)
        task = flow.run("head -c 200000 /dev/urandom >a", outputs=["a"], result_store="small", stream=False)
        place = folder(flow, task)
        until(lambda: upload_state(place) == "waiting")
        assert "No space left" in str((read_json(str(place / "upload.json")) or {})["error"])
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert kept(flow, task) == "kept"
        assert task.artifacts[0].size == 200000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_task_that_outlives_its_tickets_gets_others_while_it_runs(
    flow: Flow, web: Server, home: Path, kept: Kept
) -> None:
    task = flow.submit("until [ -e go ]; do sleep 0.05; done; echo one >a", outputs=["a"], result_store="web")
    flow.session.journal.mark_keeping(task.id, "open", "", time.time() + 60)
    web.key = "second"  # the first leave has ended
    (home / "key").write_text("second")
    flow.refresh()
    (flow.session.cwd / "go").touch()
    task.wait(timeout=PATIENCE)
    until(lambda: f"tasks/{task.id}/final.json" in web.stored())  # with no further command
    assert kept(flow, task) == "kept"


def test_an_upload_gives_up_after_the_store_s_wait_and_goes_on_when_a_client_asks(
    flow: Flow, web: Server, home: Path, kept: Kept
) -> None:
    settings = (home / "config.yaml").read_text().replace("store: web,", "store: web, wait: 0.5s,")
    (home / "config.yaml").write_text(settings)
    flow = Flow(flow.session.cwd)
    web.refuse_after = 0
    task = flow.run("echo one >a", outputs=["a"], result_store="web", stream=False)
    place = folder(flow, task)
    until(lambda: upload_state(place) == "gave_up")
    web.refuse_after = None
    assert kept(flow, task) == "kept"


def test_a_journal_that_was_lost_finds_the_results_again(flow: Flow, web: Server, home: Path, kept: Kept) -> None:
    task = flow.run("echo one >a", outputs=["a"], result_store="web", stream=False)
    assert kept(flow, task) == "kept"
    for path in (home / "state").glob("journal.db*"):
        path.unlink()
    again = Flow(flow.session.cwd)
    with pytest.warns(UserWarning, match="found again"):
        found = again.task(task.id)
    found.refresh()
    assert found.artifacts[0].open().read() == b"one\n"


def test_what_a_refused_task_was_to_start_from_does_not_stay_in_the_store(
    flow: Flow, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = flow.provider("local")

    def refuse(submission: Submission) -> TaskRef:
        assert submission.start is not None
        submission.start.publish(submission.bundle)
        assert b"sesame" in b"".join(flow.result_store("web").get(web.stored("tasks/")[-1]))
        raise QuotaError("no machine of this kind is left")

    monkeypatch.setenv("TOKEN", "sesame")
    monkeypatch.setattr(provider, "facts", attrs.evolve(provider.facts, starts_from_store=True))
    monkeypatch.setattr(provider, "submit", refuse)
    with pytest.raises(QuotaError):
        flow.submit("true", secrets=["TOKEN"], result_store="web", code={"mode": "none"})
    flow.refresh()
    assert [key for key in web.stored("tasks/") if "/start-" in key] == []
