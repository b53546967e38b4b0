"""What this machine has, and what is refused or said because of it. A script stands in for ``nvidia-smi``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flow_core import ConfigError, Flow
from flow_core.doctor import examine
from flow_local._machine import cores, detect

_GPU = """<gpu><product_name>NVIDIA {name}</product_name><display_active>Disabled</display_active>
<mig_mode><current_mig>Disabled</current_mig></mig_mode><uuid>GPU-{number}</uuid>
<fb_memory_usage><total>{memory} MiB</total><used>4 MiB</used></fb_memory_usage>
<utilization><gpu_util>12 %</gpu_util></utilization><processes>{processes}</processes></gpu>"""
_PROCESS = "<process_info><pid>4711</pid><type>C</type><process_name>/opt/other</process_name></process_info>"


class Smi:
    """The stand-in; it counts its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        script = folder / "nvidia-smi"
        script.write_text(f'#!/bin/sh\n[ "$1" = -L ] && exit 0\necho x >>{folder}/calls\nexec cat {folder}/answer\n')
        script.chmod(0o755)

    def says(self, *gpus: str) -> None:
        (self.folder / "answer").write_text(f"<nvidia_smi_log>{''.join(gpus)}</nvidia_smi_log>\n")

    @property
    def calls(self) -> int:
        path = self.folder / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0


def gpu(number: int, name: str = "A100-SXM4-80GB", memory: int = 81920, processes: str = "") -> str:
    return _GPU.format(number=number, name=name, memory=memory, processes=processes)


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smi:
    found = Smi(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}{os.environ['PATH']}")
    return found


def test_the_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= cores() <= len(os.sched_getaffinity(0))


def test_a_machine_without_the_program_has_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert detect().gpus == ()


def test_gpus_are_looked_for_once_a_minute(smi: Smi, tmp_path: Path) -> None:
    smi.says(gpu(0), gpu(1, "T4", 15360))
    found = [detect(tmp_path / "root").gpus for _ in range(3)]
    assert smi.calls == 1
    assert [[(one.id, one.kind, one.memory >> 30) for one in gpus] for gpus in found] == [
        [("0", "a100", 80), ("1", "t4", 15)]
    ] * 3


def test_more_gpus_than_there_are_is_refused_naming_what_there_is(flow: Flow, smi: Smi) -> None:
    smi.says(gpu(0), gpu(1, "T4", 15360))
    with pytest.raises(ConfigError, match=r"2 x a100 is more than this machine has \(.*1 x a100, 1 x t4\)"):
        flow.submit("true", instance_type="2xa100")


def test_more_memory_than_a_gpu_has_is_refused(flow: Flow, smi: Smi) -> None:
    smi.says(gpu(0, "T4", 15360))
    with pytest.raises(ConfigError, match="0 GPUs here have 40 GiB, 1 are wanted"):
        flow.submit("true", resources={"gpu": "t4", "gpu_memory": "40GiB"})


def test_all_that_a_machine_lacks_is_told_at_once(flow: Flow, smi: Smi) -> None:
    smi.says(gpu(0, "T4", 15360))
    with pytest.raises(ConfigError) as caught:
        flow.submit("true", resources={"gpu": "t4", "gpu_memory": "40GiB", "memory": "900TB", "disk": "900PB"})
    assert {problem.path.removeprefix("resources.") for problem in caught.value.problems} >= {
        "gpu_memory",
        "memory",
        "disk",
    }


def test_a_gpu_that_was_added_within_the_minute_is_seen_before_a_refusal(flow: Flow, smi: Smi) -> None:
    smi.says(gpu(0))
    assert flow.submit("true", instance_type="a100").wait() == 0
    smi.says(gpu(0), gpu(1))
    assert flow.submit("true", instance_type="2xa100").wait() == 0


def test_a_task_gets_a_gpu_of_its_kind_that_nobody_uses(flow: Flow, smi: Smi) -> None:
    smi.says(gpu(0, "T4"), gpu(1, processes=_PROCESS), gpu(2))
    task = flow.submit("echo $CUDA_VISIBLE_DEVICES", instance_type="a100")
    assert b"".join(chunk.data for chunk in task.logs(follow=True)) == b"2\n"


def test_usage_names_the_gpus_that_a_task_has(flow: Flow, smi: Smi, project: Path) -> None:
    smi.says(gpu(0))
    task = flow.submit("echo ready; while [ ! -e go ]; do sleep 0.02; done", instance_type="a100")
    next(iter(task.logs(follow=True)))
    ((use,),) = flow.usage([flow.task(task.id)]).values()
    assert [(one.id, one.percent) for one in use.gpus] == [("0", 12.0)]
    (project / "go").touch()
    task.wait()


def test_doctor_says_what_there_is_what_others_use_and_which_limits_hold(flow: Flow, smi: Smi) -> None:
    smi.says(gpu(0, processes=_PROCESS))
    found = {check.name: check for check in examine(flow)}
    assert "1 x a100" in found["this machine"].message
    assert found["GPU 0"].message == "used by other, pid 4711: tasks wait until it is free"
    assert "enforced" in found["limits"].message


def test_doctor_warns_where_no_limit_can_be_enforced(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_core.nodes.enforced_limits", dict)
    found = {check.name: check for check in examine(flow)}["limits"]
    assert (found.status, found.message) == (
        "warning",
        "not enforced: memory, cpus; no control group may be written here, so claims are only counted",
    )
    plan = flow.plan(flow.config("true", resources={"memory": "100MiB"}))
    assert [problem.code for problem in plan.warnings] == ["NOT_ENFORCED"]


def test_status_of_many_that_wait_opens_no_folder_of_theirs(flow: Flow, home: Path) -> None:
    import json
    import sys

    (home / "config.yaml").parent.mkdir(parents=True, exist_ok=True)
    limited = Flow(overrides={"profiles": {"local": {"max_tasks": 1}}})
    first = limited.submit("sleep 60")
    later = [limited.submit("true") for _ in range(30)]
    root = home / "state" / "local"
    while not (root / "queue").exists() or len((root / "queue").read_bytes().splitlines()) < 30:
        flow.refresh([first.id])
    seen: list[str] = []
    counting = [True]
    sys.addaudithook(lambda event, args: seen.append(str(args[0])) if counting[0] and event == "open" else None)
    flow.refresh()
    counting[0] = False
    names = {json.loads(line)[0] for line in (root / "queue").read_bytes().splitlines()}
    assert [path for path in seen if any(name in path for name in names)] == []
    assert later[1].reason == "second in line"
