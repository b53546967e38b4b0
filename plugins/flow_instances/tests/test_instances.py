"""Machines boot, are what they say, and do what is done to them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from flow_instances import Disk, Machine, Plan, Share, Site, Unavailable

Login = Callable[..., "subprocess.CompletedProcess[str]"]
SCRIPT = "#!/bin/bash\necho hello from $(id -un)\necho once >> /root/ran\n"


def until(true: Callable[[], Any], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def boot_id(machine: Machine) -> str:
    return machine.run("cat", "/proc/sys/kernel/random/boot_id").stdout


def test_a_machine_lets_its_keys_log_in_and_its_console_tells_its_host_key(
    site: Site, plan: Plan, login: Login
) -> None:
    machine = site.create("one", plan)
    machine.wait()

    seen = login(machine, "id -un; hostname; sudo id -un; cat /proc/1/comm")

    assert seen.stdout.split() == ["ubuntu", "one", "root", "machine-init"], seen.stderr


def test_a_machine_sees_its_own_processes_only(site: Site) -> None:
    machine = site.create("one")
    machine.wait()
    seen = machine.run("ps", "-eo", "comm=").stdout.split()
    assert set(seen) <= {"machine-init", "sshd", "cron", "sleep", "ps"}


def test_eight_boot_at_once_and_reach_each_other_by_name(site: Site, plan: Plan) -> None:
    addresses = {f"node-{index}": site.lease() for index in range(8)}
    plan = attrs.evolve(plan, hosts=[(address, name) for name, address in addresses.items()])
    machines = [site.create(name, plan, address) for name, address in addresses.items()]
    for machine in machines:
        machine.wait()

    probe = "import socket; [socket.create_connection((f'node-{i}', 22), 2) for i in range(8)]; print('all')"
    assert machines[3].run("python3", "-c", probe).stdout == "all\n"


def test_the_startup_script_runs_as_root_at_the_first_boot_only(site: Site) -> None:
    machine = site.create("one", Plan(script=SCRIPT))
    until(lambda: "startup script ended with 0" in machine.console())
    machine.restart()
    machine.wait()

    assert "hello from root" in machine.console()
    assert machine.run("cat", "/root/ran").stdout == "once\n"
    assert machine.run("cat", "/var/log/startup.log").stdout == "hello from root\n"


def test_a_power_cut_ends_every_process_and_keeps_the_disk(site: Site, plan: Plan, login: Login) -> None:
    machine = site.create("one", plan)
    machine.wait()
    login(machine, "echo kept > kept; setsid sleep 1000 >/dev/null 2>&1 &")
    before, key = boot_id(machine), machine.host_key()

    machine.kill()
    assert not machine.alive
    assert not machine.answers()
    machine.start()
    machine.wait()

    assert login(machine, "cat kept; pgrep -f 'sleep 1000'").stdout == "kept\n"
    assert boot_id(machine) != before
    assert machine.host_key() == key


def test_powering_off_asks_every_process_to_end(site: Site, plan: Plan, login: Login) -> None:
    machine = site.create("one", plan)
    machine.wait()
    trap = (
        "trap 'echo ended > /home/ubuntu/ended; exit' TERM; echo ready > /home/ubuntu/ready; while :; do sleep .1; done"
    )
    login(machine, f'setsid sh -c "{trap}" >/dev/null 2>&1 </dev/null &')
    until(lambda: machine.run("test", "-e", "/home/ubuntu/ready").returncode == 0)

    machine.restart()

    assert machine.run("cat", "/home/ubuntu/ended").stdout == "ended\n"


def test_cron_runs_what_is_to_run_at_each_boot(site: Site, plan: Plan, login: Login) -> None:
    machine = site.create("one", plan)
    machine.wait()
    login(machine, "echo '@reboot touch /tmp/booted' | crontab -")
    assert machine.run("test", "-e", "/tmp/booted").returncode == 1

    machine.restart()

    until(lambda: machine.run("test", "-e", "/tmp/booted").returncode == 0)


def test_a_machine_that_is_cut_off_neither_answers_nor_refuses_until_it_is_mended(
    site: Site, plan: Plan, login: Login
) -> None:
    machine = site.create("one", plan)
    machine.wait()

    machine.cut()
    assert login(machine, "true").returncode == 255
    assert machine.run("true").returncode == 0

    machine.mend()
    assert login(machine, "true").returncode == 0


def test_a_frozen_machine_takes_connections_and_says_nothing_until_it_thaws(
    site: Site, plan: Plan, login: Login
) -> None:
    machine = site.create("one", plan)
    machine.wait()
    try:
        machine.freeze()
    except Unavailable as why:
        pytest.skip(str(why))

    assert machine.answers()
    with pytest.raises(subprocess.TimeoutExpired):
        login(machine, "true", timeout=1)
    machine.thaw()
    assert login(machine, "true").returncode == 0


def test_a_frozen_machine_can_lose_its_power(site: Site) -> None:
    machine = site.create("one")
    machine.wait()
    machine.freeze()
    machine.kill()
    assert not machine.alive


def test_a_slow_network_lets_no_more_through_than_it_is_told(site: Site, plan: Plan, login: Login) -> None:
    machine = site.create("one", plan)
    machine.wait()
    machine.slow(400)
    started = time.monotonic()
    assert len(login(machine, "head -c 50000 /dev/zero").stdout) == 50_000
    assert time.monotonic() - started > (50_000 - 16_384) * 8 / 400_000
    machine.slow(None)
    assert login(machine, "true").returncode == 0


def test_a_block_volume_outlives_its_machine_and_has_its_names(site: Site) -> None:
    volume = site.volume("data", 32)
    plan = Plan(disks=[Disk(volume, ["virtio-vol_1"])])
    first = site.create("first", plan)
    first.wait()
    write = "mkfs.ext4 -q /dev/vdb && mount /dev/disk/by-id/virtio-vol_1 /mnt && echo kept > /mnt/file"
    assert first.run("sh", "-c", write).stderr == ""
    first.delete()

    second = site.create("second", plan)
    second.wait()
    assert second.run("sh", "-c", "mount /dev/vdb /mnt && cat /mnt/file").stdout == "kept\n"


def test_a_share_is_seen_by_two_machines(site: Site) -> None:
    plan = Plan(shares=[Share(site.folder_for("data"), "/mnt/data")])
    one, two = site.create("one", plan), site.create("two", plan)
    one.wait()
    two.wait()
    one.run("sh", "-c", "echo shared > /mnt/data/file")
    assert two.run("cat", "/mnt/data/file").stdout == "shared\n"


def test_scratch_is_empty_after_each_boot(site: Site) -> None:
    machine = site.create("one", Plan(scratch=["/mnt/local"]))
    machine.wait()
    machine.run("touch", "/mnt/local/file")
    machine.restart()
    assert machine.run("ls", "/mnt/local").stdout == ""


def test_a_disk_of_its_own_size_can_be_filled(site: Site) -> None:
    machine = site.create("one", Plan(disk=64))
    machine.wait()
    machine.fill()
    assert "No space left" in machine.run("cp", "/etc/passwd", "/file").stderr
    machine.run("rm", "/filler")
    assert machine.run("cp", "/etc/passwd", "/file").returncode == 0


def test_a_disk_that_is_as_large_as_the_hosts_is_not_filled(site: Site) -> None:
    with pytest.raises(Unavailable, match="no disk of its own size"):
        site.create("one").fill()


def test_memory_has_a_limit(site: Site) -> None:
    machine = site.create("one", Plan(memory=64))
    machine.wait()
    assert machine.run("python3", "-c", "x = bytearray(200 << 20)").returncode != 0
    assert machine.alive


def test_a_published_port_of_the_host_is_reached_at_the_machines_own_loopback(site: Site) -> None:
    import http.server
    import threading

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        site.publish(port)
        machine = site.create("one")
        machine.wait()
        ask = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/', timeout=2).status)"
        assert machine.run("python3", "-c", ask).stdout == "200\n"
        machine.cut()
        assert machine.run("python3", "-c", ask).returncode == 1
        server.shutdown()


def test_the_example_of_the_readme_runs(bootable: None, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[1] / "README.md"
    code = page.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    exec(compile(code, str(page), "exec"), {})
    assert "END SSH HOST KEY KEYS" in capsys.readouterr().out


def test_a_machine_on_its_way_can_be_deleted_and_leaves_nothing(site: Site) -> None:
    machine = site.create("one", Plan(disk=64, disks=[Disk(site.volume("data", 8))]))
    folder = machine.folder
    machine.delete()
    assert not folder.exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{site.name}-one"))
