"""Everything that would keep a task from running on this machine, named before it is submitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage

from flow_core import Problem, TaskConfig, nodes
from flow_core.types import InstanceType, format_size, parse_instance_type
from flow_local import _vault
from flow_local._machine import Machine
from flow_local._storage import why_unlimited
from flow_local._volumes import Volumes

_LESS = "ask for less, or choose another provider"


def instance(config: TaskConfig) -> InstanceType | None:
    """Return what the instance type asks for per node; None when it says nothing."""
    return parse_instance_type(config.instance_type) if config.instance_type else None


def gpus_wanted(config: TaskConfig) -> tuple[str | None, int]:
    """Return (kind or None for any, count) of the GPUs per node."""
    asked = instance(config)
    if asked is not None and not asked.is_cpu:
        return None if asked.kind == "gpu" else asked.kind, asked.count or 1
    return config.resources.gpu, config.resources.gpu_count or (1 if config.resources.gpu else 0)


def cpus_wanted(config: TaskConfig) -> float | None:
    """Return the cores per node, None for no claim."""
    asked = instance(config)
    if asked is not None and asked.is_cpu and asked.count:
        return float(asked.count)
    return config.resources.cpus


def problems(config: TaskConfig, machine: Machine, volumes: Volumes, cwd: Path) -> Iterator[Problem]:
    """Yield what is wrong with ``config`` here."""
    yield from _resources(config, machine)
    yield from _disk(config, volumes.root)
    yield from _mounts(config, volumes, cwd)
    yield from _volumes(config, volumes)


def _resources(config: TaskConfig, machine: Machine) -> Iterator[Problem]:
    kind, count = gpus_wanted(config)
    there = [gpu for gpu in machine.gpus if kind in (None, gpu.kind)]
    if count * config.num_instances > len(there):
        wanted = f"{count * config.num_instances} x {kind or 'gpu'}"
        hint = "choose another provider, or leave out the GPUs"
        yield Problem(
            "instance_type", "NO_SUCH_MACHINE", f"{wanted} is more than this machine has ({machine.summary})", hint
        )
    cpus = (cpus_wanted(config) or 0) * config.num_instances
    if cpus > machine.cpus:
        yield Problem(
            "resources.cpus", "TOO_MANY_CPUS", f"{cpus:g} CPUs is more than this machine has ({machine.summary})", _LESS
        )
    memory = (config.resources.memory or 0) * config.num_instances
    if memory > machine.memory:
        asked = format_size(memory)
        yield Problem(
            "resources.memory", "TOO_MUCH_MEMORY", f"{asked} is more than this machine has ({machine.summary})", _LESS
        )
    if 0 < count * config.num_instances <= len(there) and (least := config.resources.gpu_memory):
        large = sum(gpu.memory >= least for gpu in there)
        if large < count * config.num_instances:
            text = f"{large} GPUs here have {format_size(least)}, {count * config.num_instances} are wanted"
            yield Problem("resources.gpu_memory", "GPU_MEMORY", f"{text} ({machine.summary})", _LESS)
    yield from _not_enforced(config)


def _disk(config: TaskConfig, root: Path) -> Iterator[Problem]:
    wanted = (config.resources.disk or 0) * config.num_instances
    if wanted and wanted > (free := disk_usage(next(part for part in (root, *root.parents) if part.is_dir())).free):
        text = f"{format_size(wanted)} is more than is free in {root.parent} ({format_size(free)})"
        yield Problem("resources.disk", "NO_ROOM", text, "make room there, or ask for less")


def _not_enforced(config: TaskConfig) -> Iterator[Problem]:
    wanted = {"memory": config.resources.memory, "cpu": cpus_wanted(config)}
    if not any(wanted.values()):
        return
    enforced = nodes.enforced_limits()
    for name, claim in wanted.items():
        if claim and name not in enforced:
            path = "resources.memory" if name == "memory" else "resources.cpus"
            text = "counted, but not enforced: no control group here may be written"
            yield Problem(path, "NOT_ENFORCED", text, "flow doctor says more", severity="warning")


def _mounts(config: TaskConfig, volumes: Volumes, cwd: Path) -> Iterator[Problem]:
    mounts = bool(config.mounts or config.volumes) and config.image is None  # a container's are its engine's to make
    if mounts and (reason := nodes.mounts_impossible()):
        text = f"this machine cannot give a task mounts of its own: {reason}"
        yield Problem("mounts", "NO_MOUNTS", text, "flow doctor says more; or use an image, whose engine makes them")
    for number, mount in enumerate(config.mounts):
        path = f"mounts[{number}].source"
        if mount.source.startswith("volume:"):
            name = mount.source.removeprefix("volume:")
            if not volumes.exists(name):
                yield Problem(path, "NO_VOLUME", f"there is no volume {name!r}", f"flow volume create {name}")
        elif "://" in mount.source:
            hint = "fetch it in the command, or name a folder of this machine"
            yield Problem(
                path, "NO_SUCH_SOURCE", f"{mount.source} is no folder and no volume: nothing else is mounted", hint
            )
        elif not (cwd / Path(mount.source).expanduser()).exists():
            yield Problem(path, "NO_FOLDER", f"{mount.source} does not exist", "create it, or correct the path")


def volumes_of(config: TaskConfig) -> list[str]:
    """Return the names of the volumes that a task uses."""
    mounted = [mount.source.removeprefix("volume:") for mount in config.mounts if mount.source.startswith("volume:")]
    return [*(spec.name for spec in config.volumes), *mounted]


def _volumes(config: TaskConfig, volumes: Volumes) -> Iterator[Problem]:
    for number, spec in enumerate(config.volumes):
        path = f"volumes[{number}]"
        if volumes.exists(spec.name):
            if spec.encrypted and not volumes.key_of(spec.name):
                hint = "leave `encrypted` out, or choose another name"
                yield Problem(f"{path}.encrypted", "NOT_ENCRYPTED", f"volume {spec.name!r} is not encrypted", hint)
        elif not spec.create:
            hint = "say create: true, give it a size, or run: flow volume create " + spec.name
            yield Problem(f"{path}.name", "NO_VOLUME", f"there is no volume {spec.name!r}", hint)
        elif spec.size_gb is not None and (why := why_unlimited(volumes.root)):
            text = f"the size will be noted, not enforced: {why}"
            yield Problem(f"{path}.size_gb", "NOT_ENFORCED", text, severity="warning")
    yield from _encrypted(config, volumes)


def _encrypted(config: TaskConfig, volumes: Volumes) -> Iterator[Problem]:
    new = [spec.name for spec in config.volumes if spec.encrypted]
    old = [name for name in volumes_of(config) if volumes.exists(name) and volumes.key_of(name)]
    if not new and not old:
        return
    if reason := _vault.impossible():
        yield Problem("volumes", "NO_ENCRYPTION", *reason)
    if config.image is not None:
        text = "an encrypted volume cannot be mounted in a container: its engine does not see it in the clear"
        yield Problem("volumes", "NO_ENCRYPTION", text, "leave out the image, or use a volume that is not encrypted")
