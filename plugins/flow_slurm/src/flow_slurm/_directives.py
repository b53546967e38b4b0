"""What a task needs, in the words of sbatch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import attrs

from flow_core import TaskConfig
from flow_core.types import parse_instance_type
from flow_slurm._settings import SlurmOptions

_SLACK = 60.0  # seconds in which the runner starts and tidies up
_LONGEST_PAUSE = 60.0  # seconds between two attempts
_WORDS = ("partition", "account", "qos", "constraint", "reservation", "licenses", "nodelist", "exclude")


@attrs.frozen
class Needs:
    """What each node must have: GPUs by the user's word for them (None: any), cores, memory and disk in bytes."""

    gpu: str | None
    gpu_count: int
    cpus: int | None
    memory: int | None
    disk: int | None


def needs(config: TaskConfig) -> Needs:
    """Return what the instance type and the resources ask for."""
    wanted, asked = config.resources, parse_instance_type(config.instance_type or "cpu")
    gpu, count, cpus = wanted.gpu, wanted.gpu_count or (1 if wanted.gpu else 0), wanted.cpus
    if config.instance_type and not asked.is_cpu:
        gpu, count = (None if asked.kind == "gpu" else asked.kind), asked.count or 1
    elif asked.count and cpus is None:
        cpus = asked.count
    return Needs(gpu, count, None if cpus is None else math.ceil(cpus), wanted.memory, wanted.disk)


def minutes(config: TaskConfig, options: SlurmOptions, longest: float | None) -> int | None:
    """Return Slurm's own limit; None for the partition's default. ``longest`` is the partition's limit in seconds.

    The runner keeps the task's limit; Slurm's comes later, after all attempts and their grace.
    """
    seconds = options.time
    if seconds is None and config.time_limit is not None:
        tries = config.retries + 1
        seconds = tries * (config.time_limit + config.grace) + config.retries * _LONGEST_PAUSE + _SLACK
        seconds = min(seconds, longest or seconds)
    return None if seconds is None else max(1, math.ceil(seconds / 60))


def directives(
    config: TaskConfig, options: SlurmOptions, gres: str | None, longest: float | None, after: Sequence[str]
) -> Iterator[str]:
    """Yield the options of sbatch; ``gres`` is what the GPUs are called here, ``after`` the conditions of the start."""
    wanted = needs(config)
    yield from (f"--nodes={config.num_instances}", f"--ntasks={config.num_instances}", "--ntasks-per-node=1")
    if gres:
        yield f"--gres={gres}"
    if wanted.cpus:
        yield f"--cpus-per-task={wanted.cpus}"
    if wanted.memory:
        yield f"--mem={math.ceil(wanted.memory / 2**20)}M"
    if wanted.disk:
        yield f"--tmp={math.ceil(wanted.disk / 2**20)}M"
    if limit := minutes(config, options, longest):
        yield f"--time={limit}"
    if config.priority < 0:
        yield f"--nice={-100 * config.priority}"
    yield "--requeue" if _requeues(config, options) else "--no-requeue"
    yield from _own(options, after)


def _requeues(config: TaskConfig, options: SlurmOptions) -> bool:
    return config.max_preemptions != 0 if options.requeue is None else options.requeue


def _own(options: SlurmOptions, after: Sequence[str]) -> Iterator[str]:
    conditions = [*after, *([options.dependency] if options.dependency else [])]
    if conditions:
        yield from (f"--dependency={','.join(conditions)}", "--kill-on-invalid-dep=yes")
    for name in _WORDS:
        if value := getattr(options, name):
            yield f"--{name}={value}"
    if options.signal:
        yield f"--signal={options.signal.removeprefix('B:')}"  # to the steps: there the runner is, and passes it on
    if options.exclusive:
        yield "--exclusive"
    yield from options.extra
