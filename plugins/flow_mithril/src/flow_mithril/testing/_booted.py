"""Machines that really boot, below the API."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

from flow_instances import Disk, Machine, Plan, Share, Site
from flow_mithril.testing._machines import Launch
from flow_mithril.testing._settings import Settings

SIGNAL = "/opt/mithril/MITHRIL_SIGNAL.yml"
_DEEDS = ("kill", "start", "stop", "restart", "freeze", "thaw", "cut", "mend", "slow", "fill")
_SMI = """\
#!/bin/sh
[ "$1" = -L ] && exec cat {base}.list
exec cat {base}.xml
"""


class BootedMachines:
    """A machine for each instance. What is asked of one is done in its order, by a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.site = Site()
        self.problems: list[str] = []
        self._settings = settings
        self._addresses: dict[str, str] = {}
        self._machines: dict[str, Machine] = {}
        self._ready: set[str] = set()
        self._volumes: dict[str, Path] = {}
        self._disks: dict[str, list[Path]] = {}
        self._releases: dict[Path, Future[Any]] = {}
        self._lines: dict[str, ThreadPoolExecutor] = {}
        for port in settings.publish:
            self.publish(port)

    def publish(self, port: int) -> None:
        self.site.publish(port)

    def launch(self, launch: Launch) -> None:
        plan = self._plan(launch)
        address = self._address(launch.fid)
        self._later(launch.fid, lambda: self._boot(launch.fid, self.site.add(launch.fid, plan, address)))

    def start(self, launch: Launch) -> None:
        plan = self._plan(launch)

        def again() -> None:
            machine = self._machines[launch.fid]
            machine.plan = attrs.evolve(machine.plan, disks=plan.disks, shares=plan.shares)
            self._boot(launch.fid, machine)

        self._later(launch.fid, again)

    def stop(self, fid: str) -> None:
        self._ready.discard(fid)
        self._release(fid, lambda: self._machines[fid].stop())

    def restart(self, fid: str) -> None:
        self._later(fid, lambda: self._machines[fid].restart())

    def delete(self, fid: str) -> None:
        self._ready.discard(fid)
        self._addresses.pop(fid, None)
        self._release(fid, lambda: self._machines.pop(fid).delete())

    def signal(self, fid: str, notice: str | None) -> None:
        self._later(fid, lambda: self._write(fid, notice))

    def addresses(self, fid: str) -> tuple[str | None, str | None]:
        return self._addresses.get(fid), self._addresses.get(fid)

    def ready(self, fid: str) -> bool:
        return fid in self._ready

    def delete_volume(self, fid: str) -> None:
        path = self._volumes.pop(fid, None)
        if path is not None and path.is_dir():
            shutil.rmtree(path)
        elif path is not None:
            path.unlink()

    def act(self, fid: str, deed: str, **how: Any) -> Any:
        machine = self._machine(fid)
        if deed == "run":
            done = self._now(fid, lambda: machine.run("sh", "-c", how["command"]))
            return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        if deed not in _DEEDS:
            raise ValueError(f"a machine can {', '.join((*_DEEDS, 'run'))}; not {deed}")
        return self._now(fid, lambda: getattr(machine, deed)(**how))

    def describe(self, fid: str) -> dict[str, Any]:
        machine = self._machine(fid)
        said = {"address": machine.address, "host_key": machine.host_key(), "console": machine.console()}
        return {**said, "alive": machine.alive}

    def close(self) -> None:
        for line in self._lines.values():
            line.shutdown()
        self.site.close()

    def _machine(self, fid: str) -> Machine:
        self._now(fid, lambda: None)
        if fid not in self._machines:
            raise LookupError(f"{fid} has no machine")
        return self._machines[fid]

    def _boot(self, fid: str, machine: Machine) -> None:
        self._machines[fid] = machine
        for disk in machine.plan.disks:
            if disk.file in self._releases:
                self._releases[disk.file].result()
        machine.start()
        machine.wait()
        self._ready.add(fid)

    def _release(self, fid: str, deed: Callable[[], Any]) -> None:
        """Do what frees a machine's disks; who boots with one of them next waits for it."""
        done = self._later(fid, deed)
        self._releases.update(dict.fromkeys(self._disks.get(fid, ()), done))

    def _write(self, fid: str, notice: str | None) -> None:
        machine = self._machines.get(fid)
        if machine is None or not machine.alive:
            return
        path = machine.path(SIGNAL)
        if notice is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".new").write_text(notice)
            path.with_suffix(".new").rename(path)

    def _plan(self, launch: Launch) -> Plan:
        block = [fid for fid, _, interface in launch.volumes if interface == "Block"]
        self._disks[launch.fid] = [self._volume(fid, "Block") for fid in block]
        return Plan(
            hostname=launch.name,
            keys=launch.keys,
            script=launch.script,
            script_path="/var/lib/foundry/startup_script.sh",
            script_log="/var/log/foundry/startup_script.log",
            disks=[Disk(self._volume(fid, "Block"), (f"virtio-{fid[:20]}",)) for fid in block],
            shares=[
                Share(self._volume(fid, "File"), f"/mnt/{name}")
                for fid, name, interface in launch.volumes
                if interface == "File"
            ],
            scratch=("/mnt/local",),
            files=_nvidia_smi(launch.gpus, launch.gpu) if launch.gpus else {},
            docker=self._settings.docker,
            disk=self._settings.disk_megabytes,
            hosts=[(self._address(fid), name) for fid, name in launch.group if fid != launch.fid],
        )

    def _volume(self, fid: str, interface: str) -> Path:
        if fid not in self._volumes:
            block = interface == "Block"
            self._volumes[fid] = (
                self.site.volume(fid, self._settings.volume_megabytes) if block else self.site.folder_for(fid)
            )
        return self._volumes[fid]

    def _address(self, fid: str) -> str:
        if fid not in self._addresses:
            self._addresses[fid] = self.site.lease()
        return self._addresses[fid]

    def _later(self, fid: str, deed: Callable[[], Any]) -> Future[Any]:
        line = self._lines.setdefault(fid, ThreadPoolExecutor(1))
        return line.submit(self._noted, deed)

    def _now(self, fid: str, deed: Callable[[], Any]) -> Any:
        return self._lines.setdefault(fid, ThreadPoolExecutor(1)).submit(deed).result()

    def _noted(self, deed: Callable[[], Any]) -> None:
        try:
            deed()
        except Exception as problem:
            self.problems.append(f"a machine: {type(problem).__name__}: {problem}")


def _nvidia_smi(number: int, name: str) -> dict[str, str]:
    """Return an ``nvidia-smi`` that tells of idle GPUs: there is no driver, but who asks sees what was rented."""
    memory = "<total>81920 MiB</total><used>0 MiB</used>"
    uuids = [f"GPU-00000000-0000-0000-0000-{index:012d}" for index in range(number)]
    gpus = [
        f"<gpu><product_name>{name}</product_name><uuid>{uuid}</uuid><mig_mode><current_mig>Disabled</current_mig>"
        f"</mig_mode><fb_memory_usage>{memory}</fb_memory_usage><utilization><gpu_util>0 %</gpu_util></utilization>"
        "<processes></processes></gpu>"
        for uuid in uuids
    ]
    listed = "".join(f"GPU {index}: {name} (UUID: {uuid})\n" for index, uuid in enumerate(uuids))
    base = "/usr/lib/nvidia-smi"
    log = f"<?xml version='1.0' ?>\n<nvidia_smi_log>{''.join(gpus)}</nvidia_smi_log>\n"
    return {"/usr/bin/nvidia-smi": _SMI.format(base=base), f"{base}.xml": log, f"{base}.list": listed}
