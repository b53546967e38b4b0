"""What is below the API really boots, is warned, stops and comes back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import flow_instances
from flow_mithril.testing import Double, Settings

SCRIPT = "#!/bin/bash\necho ran >> /var/lib/ran\n"
SIGNAL = "/opt/mithril/MITHRIL_SIGNAL.yml"


class Rented:
    """A bid of some machines, and what is asked of them."""

    def __init__(self, double: Double, key: Path, **launch: Any) -> None:
        self.double = double
        self.key = key
        self.project = self.ask("GET", "/v2/projects")[0]["fid"]
        public = key.with_suffix(".pub").read_text()
        ssh_key = self.ask("POST", "/v2/ssh-keys", {"project": self.project, "name": "k", "public_key": public})
        kind = next(each for each in self.ask("GET", "/v2/instance-types") if each["num_gpus"] == 2)
        self.order: dict[str, Any] = {
            "project": self.project,
            "region": "us-central2-a",
            "instance_type": kind["fid"],
            "limit_price": "$5",
            "instance_quantity": 1,
            "name": "task",
            "launch_specification": {"volumes": [], "ssh_keys": [ssh_key["fid"]], "startup_script": SCRIPT, **launch},
        }

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.double.settings.api_key}"}
        answer = requests.request(method, self.double.url + path, json=body, headers=headers, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def rent(self, number: int = 1) -> None:
        self.bid = self.ask("POST", "/v2/spot/bids", {**self.order, "instance_quantity": number})["fid"]
        self.running()

    @property
    def instances(self) -> list[Any]:
        return list(self.ask("GET", f"/v2/instances?project={self.project}&bid_fid_in={self.bid}")["data"])

    def running(self) -> None:
        until(lambda: {each["status"] for each in self.instances} == {"STATUS_RUNNING"})

    def machine(self, **said: Any) -> Any:
        return self.double.control("machine", instance=self.instances[0]["fid"], **said)

    def inside(self, command: str) -> str:
        return str(self.machine(do="run", command=command)["stdout"])

    def login(self, command: str) -> subprocess.CompletedProcess[str]:
        first, known = self.instances[0], self.key.with_name("known")
        known.write_text(f"{first['ssh_destination']} {self.machine()['host_key']}\n")
        options = [
            "-oStrictHostKeyChecking=yes",
            f"-oUserKnownHostsFile={known}",
            "-oBatchMode=yes",
            "-oConnectTimeout=2",
        ]
        words = ["ssh", "-F", "/dev/null", "-i", str(self.key), *options, f"ubuntu@{first['ssh_destination']}", command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)


def until(true: Callable[[], Any], timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def booting() -> Iterator[Double]:
    problem = flow_instances.unavailable()
    if problem:
        pytest.skip(problem)
    with Double(Settings(start_seconds=0.0)) as double:
        yield double
    assert double.mistakes == []


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def test_an_instance_runs_when_its_machine_answers_and_lets_the_bids_key_log_in(booting: Double, key: Path) -> None:
    rented = Rented(booting, key)
    rented.rent()

    seen = rented.login("id -un; hostname; nvidia-smi -L | wc -l; ls -d /mnt/local")

    assert seen.stdout.split() == ["ubuntu", "task-0", "2", "/mnt/local"], seen.stderr
    until(lambda: rented.inside("cat /var/lib/ran") == "ran\n")


def test_the_machines_of_a_bid_know_each_other_by_name_and_reach_the_api(booting: Double, key: Path) -> None:
    rented = Rented(booting, key)
    rented.rent(2)

    assert rented.inside("getent hosts task-1").split()[0] == rented.instances[1]["private_ip"]
    ask = f"import urllib.request as u; u.urlopen(u.Request('{booting.url}/v2/me', headers={{'Authorization': 'Bearer fkey_test'}}))"
    rented.inside(f'python3 -c "{ask}"')
    assert [each["path"] for each in booting.requests if "urllib" in each["headers"]["user-agent"].lower()] == [
        "/v2/me"
    ]


def test_a_preemption_is_told_on_the_machine_and_the_next_boot_has_the_disk_and_not_the_script(
    booting: Double, key: Path
) -> None:
    rented = Rented(booting, key)
    rented.rent()
    rented.inside("touch /mnt/local/gone /root/kept")
    assert rented.inside(f"ls {SIGNAL}") == ""

    booting.control("preempt", bid=rented.bid, notice=100)
    until(lambda: "instance_status: STATUS_PREEMPTING" in rented.inside(f"cat {SIGNAL}"))
    booting.control("clock", advance=101)
    rented.running()

    assert rented.inside(f"ls {SIGNAL} /mnt/local /root/kept; cat /var/lib/ran").split() == [
        "/root/kept",
        "/mnt/local:",
        "ran",
    ]


def test_a_preemption_that_is_called_off_takes_its_notice_away(booting: Double, key: Path) -> None:
    rented = Rented(booting, key)
    rented.rent()
    booting.control("price", instance_type="a100-80gb.sxm.2x", price=9)
    until(lambda: rented.inside(f"ls {SIGNAL}"))
    booting.control("price", instance_type="a100-80gb.sxm.2x", price=1)
    until(lambda: not rented.inside(f"ls {SIGNAL}"))


def test_volumes_are_a_disk_and_a_folder_and_outlive_the_bid(booting: Double, key: Path) -> None:
    rented = Rented(booting, key)
    said = {"project": rented.project, "region": "us-central2-a", "size_gb": 10}
    disk = rented.ask("POST", "/v2/volumes", {**said, "name": "disk", "disk_interface": "Block"})["fid"]
    share = rented.ask("POST", "/v2/volumes", {**said, "name": "share", "disk_interface": "File"})["fid"]
    rented.order["launch_specification"]["volumes"] = [disk, share]
    rented.rent()
    device = f"/dev/disk/by-id/virtio-{disk[:20]}"
    assert (
        rented.inside(f"mkfs.ext4 -q {device}; mount {device} /media; touch /media/a /mnt/share/b; ls /media/a") != ""
    )
    rented.ask("DELETE", f"/v2/spot/bids/{rented.bid}")

    rented.rent()
    assert rented.inside("mount /dev/vdb /media; ls /media/a /mnt/share/b").split() == ["/media/a", "/mnt/share/b"]
    rented.ask("DELETE", f"/v2/spot/bids/{rented.bid}")
    for volume in (disk, share):
        rented.ask("DELETE", f"/v2/volumes/{volume}")


def test_a_test_can_cut_a_machine_off_and_its_power(booting: Double, key: Path) -> None:
    rented = Rented(booting, key)
    rented.rent()
    rented.machine(do="cut")
    assert rented.login("true").returncode == 255
    rented.machine(do="mend")
    assert rented.login("true").returncode == 0
    rented.machine(do="kill")
    assert not rented.machine()["alive"]
    assert rented.instances[0]["status"] == "STATUS_RUNNING"
    rented.machine(do="start")
    assert rented.machine()["alive"]


def test_a_deed_that_is_none_is_refused(booting: Double, key: Path) -> None:
    rented = Rented(booting, key)
    rented.rent()
    said = {"instance": rented.instances[0]["fid"], "do": "explode"}
    assert requests.post(f"{booting.url}/_control/machine", json=said, timeout=5).status_code == 400


def test_a_bid_that_is_cancelled_while_it_starts_leaves_no_machine(booting: Double, key: Path) -> None:
    rented = Rented(booting, key)
    rented.bid = rented.ask("POST", "/v2/spot/bids", rented.order)["fid"]
    until(lambda: rented.instances)
    rented.ask("DELETE", f"/v2/spot/bids/{rented.bid}")
    assert rented.instances[0]["status"] == "STATUS_TERMINATED"
    said = {"instance": rented.instances[0]["fid"]}
    assert requests.post(f"{booting.url}/_control/machine", json=said, timeout=5).status_code == 400
