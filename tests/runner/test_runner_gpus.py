"""GPUs: what ``nvidia-smi`` tells of them, and who gets them. No GPU is at hand: a script stands in for the program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flow_core.runner import board, gpus

from .machine import Machine, until

GIB = 1 << 30


def process(pid: int, program: str = "/usr/bin/python3 train.py", kind: str = "C", place: str = "N/A") -> str:
    return (
        f"<process_info><gpu_instance_id>{place}</gpu_instance_id>"
        f"<compute_instance_id>{'0' if place != 'N/A' else place}</compute_instance_id><pid>{pid}</pid><type>{kind}</type><process_name>{program}</process_name>"
        "<used_memory>900 MiB</used_memory></process_info>"
    )


def gpu(
    number: int,
    name: str = "NVIDIA A100-SXM4-80GB",
    used: int = 4,
    processes: str = "",
    parts: str = "",
    screen: str = "Disabled",
) -> str:
    return f"""<gpu id="00000000:{number:02}:00.0"><product_name>{name}</product_name>
    <display_active>{screen}</display_active>
    <mig_mode><current_mig>{"Enabled" if parts else "Disabled"}</current_mig></mig_mode>
    <mig_devices>{parts or "None"}</mig_devices><uuid>GPU-{number}</uuid>
    <fb_memory_usage><total>81920 MiB</total><reserved>500 MiB</reserved><used>{used} MiB</used></fb_memory_usage>
    <utilization><gpu_util>37 %</gpu_util></utilization><processes>{processes}</processes></gpu>"""


def part(index: int, instance: int) -> str:
    return (
        f"<mig_device><index>{index}</index><gpu_instance_id>{instance}</gpu_instance_id><compute_instance_id>0"
        "</compute_instance_id><fb_memory_usage><total>20096 MiB</total><used>11 MiB</used></fb_memory_usage>"
        "</mig_device>"
    )


def answer(*found: str, listed: str = "") -> bytes:
    head = '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>'
    return f"{head}{''.join(found)}</nvidia_smi_log>\n{listed}".encode()


class Smi:
    """The stand-in; it counts its calls."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        script = folder / "nvidia-smi"
        script.write_text(f'#!/bin/sh\n[ "$1" = -L ] && exit 0\necho x >>{folder}/calls\nexec cat {folder}/answer\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def says(self, *found: str) -> None:
        new = self._folder / "answer.new"
        new.write_bytes(answer(*found))
        new.rename(self._folder / "answer")

    @property
    def calls(self) -> int:
        path = self._folder / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smi:
    return Smi(tmp_path / "bin", monkeypatch)


def test_a_gpu_has_its_index_its_kind_and_its_memory() -> None:
    (found,) = gpus.parse(answer(gpu(0)))
    assert found == gpus.Device("0", "a100", "NVIDIA A100-SXM4-80GB", 80 * GIB, 4 << 20, 37.0, "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("NVIDIA GH200 480GB", "gh200"),
    ],
)
def test_the_kind_is_the_word_that_people_use(name: str, kind: str) -> None:
    assert gpus.parse(answer(gpu(0, name)))[0].kind == kind


def test_who_computes_uses_a_gpu_and_who_only_draws_does_not() -> None:
    found = gpus.parse(
        answer(
            gpu(0, processes=process(7) + process(8)), gpu(1, processes=process(9, "/usr/lib/xorg/Xorg", "G")), gpu(2)
        )
    )
    assert [device.user for device in found] == ["python3, pid 7 and 1 more", "", ""]


def test_memory_without_a_process_is_somebody_in_another_container_but_for_a_screen() -> None:
    found = gpus.parse(answer(gpu(0, used=20480), gpu(1, used=20480, screen="Enabled"), gpu(2, used=900)))
    assert [device.user for device in found] == ["somebody who cannot be seen from here, 20 GiB of its memory", "", ""]


def test_mig_devices_are_given_by_uuid_and_used_one_by_one() -> None:
    listed = """GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-0)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa)
  MIG 3g.20gb     Device  1: (UUID: MIG-bbbb)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-1)
"""
    split = gpu(0, parts=part(0, 1) + part(1, 2), processes=process(7, place="2"))
    found = gpus.parse(answer(split, gpu(1), listed=listed))
    assert [(d.id, d.kind, d.memory, d.user) for d in found] == [
        ("MIG-aaaa", "3g.20gb", 20096 << 20, ""),
        ("MIG-bbbb", "3g.20gb", 20096 << 20, "python3, pid 7"),
        ("1", "a100", 80 * GIB, ""),
    ]


def test_what_is_not_understood_is_no_gpu() -> None:
    assert gpus.parse(b"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.") == []
    assert gpus.parse(answer()[:-30]) == []


def test_a_task_gets_its_gpus_and_the_order_they_are_counted_in(machine: Machine) -> None:
    machine.has(gpus=[{"id": "0", "name": "t4"}, {"id": "1", "name": "a100"}])
    task = machine.submit(
        'echo "$CUDA_VISIBLE_DEVICES $CUDA_DEVICE_ORDER"', limits={"gpu_count": 1, "gpu_kind": "a100"}
    )
    machine.wait(task)
    assert machine.output(task) == b"1 PCI_BUS_ID\n"


def test_a_gpu_that_another_program_uses_is_left_and_the_other_one_given(machine: Machine, smi: Smi) -> None:
    smi.says(gpu(0, processes=process(7)), gpu(1))
    machine.has(gpus=[{"id": "0", "name": "a100"}, {"id": "1", "name": "a100"}])
    task = machine.submit("echo $CUDA_VISIBLE_DEVICES", limits={"gpu_count": 1})
    machine.wait(task)
    assert machine.output(task) == b"1\n"


def test_a_task_waits_for_a_gpu_that_another_program_uses_and_starts_when_it_is_free(
    machine: Machine, smi: Smi
) -> None:
    smi.says(gpu(0, processes=process(7)))
    machine.has(gpus=[{"id": "0", "name": "a100"}])
    task = machine.submit("true", limits={"gpu_count": 1})
    beside = machine.submit("true")
    assert machine.wait(beside)["state"] == "succeeded"
    wanted = "waits for 1 of 1 GPU (used: GPU 0 by python3, pid 7)"
    until("the reason", lambda: machine.report(task)["reason"] == wanted)
    smi.says(gpu(0))
    assert machine.wait(task)["state"] == "succeeded"


def test_nobody_is_asked_about_gpus_for_a_task_that_wants_none(machine: Machine, smi: Smi) -> None:
    smi.says(gpu(0))
    machine.has(gpus=[{"id": "0", "name": "a100"}])
    machine.run("true")
    assert smi.calls == 0
    machine.run("true", limits={"gpu_count": 1})
    assert smi.calls == 1


def test_a_program_that_fails_keeps_no_task_from_its_gpu(machine: Machine, smi: Smi) -> None:
    machine.has(gpus=[{"id": "0", "name": "a100"}])
    assert machine.run("true", limits={"gpu_count": 1})["state"] == "succeeded"


def test_the_reason_of_each_that_waits_is_told(machine: Machine) -> None:
    machine.has(gpus=[{"id": "0", "name": "a100"}])
    first = machine.submit("echo ready; sleep 20", limits={"gpu_count": 1})
    machine.running(first)
    second = machine.submit("true", limits={"gpu_count": 1})
    third = machine.submit("true", limits={"gpu_count": 1})
    after = machine.submit("true", depends_on=[{"ref": third, "task": f"t-{third}"}])
    until("all three are told of", lambda: len(board.read(str(machine.root))) == 3)
    assert machine.report(second)["reason"] == f"waits for 1 of 1 GPU (used by t-{first})"
    assert machine.report(third)["reason"] == "second in line"
    assert machine.report(after)["reason"] == f"waits for t-{third} to end"
    assert [(entry.place, entry.claim) for entry in board.read(str(machine.root))] == [
        (1, {"gpus": 1}),
        (2, {"gpus": 1}),
        (0, {}),
    ]
