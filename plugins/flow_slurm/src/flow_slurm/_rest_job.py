"""A job as slurmrestd takes it, from the options of sbatch: two forms, that of Slurm 21.08 and 22.05 and the later one.

Source: the OpenAPI documents of slurmrestd 22.05.8 (v0.0.38) and 24.11.5 (v0.0.42).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flow_core import ConfigError

_Field = tuple[str, Callable[[str], Any]]
_BOTH: dict[str, _Field] = {
    **{
        name: (name, str)
        for name in ("array", "comment", "dependency", "partition", "account", "qos", "reservation", "licenses")
    },
    "job-name": ("name", str),
    "constraint": ("constraints", str),
    "ntasks": ("tasks", int),
    "ntasks-per-node": ("tasks_per_node", int),
    "cpus-per-task": ("cpus_per_task", int),
    "nice": ("nice", int),
    "output": ("standard_output", str),
    "requeue": ("requeue", lambda _: True),
    "no-requeue": ("requeue", lambda _: False),
    "hold": ("hold", lambda _: True),
}


def _megabytes(text: str) -> int:
    return int(text.removesuffix("M"))


def _set(number: int) -> dict[str, object]:
    return {"set": True, "infinite": False, "number": number}


_OLD: dict[str, _Field] = {
    **_BOTH,
    "nodes": ("nodes", lambda text: [int(text), int(text)]),
    "gres": ("gres", str),
    "mem": ("memory_per_node", _megabytes),
    "time": ("time_limit", int),
    "signal": ("signal", str),
    "exclusive": ("exclusive", lambda _: "exclusive"),
    "kill-on-invalid-dep": ("kill_on_invalid_dependency", lambda _: True),
    "open-mode": ("open_mode", str),
}
_NEW: dict[str, _Field] = {
    **_BOTH,
    "nodes": ("nodes", str),
    "gres": ("tres_per_node", lambda text: f"gres/{text}"),
    "mem": ("memory_per_node", lambda text: _set(_megabytes(text))),
    "tmp": ("temporary_disk_per_node", _megabytes),
    "time": ("time_limit", lambda text: _set(int(text))),
    "exclusive": ("shared", lambda _: ["none"]),
    "kill-on-invalid-dep": ("flags", lambda _: ["KILL_INVALID_DEPENDENCY"]),
    "open-mode": ("open_mode", lambda text: [text.upper()]),
    "nodelist": ("required_nodes", lambda text: text.split(",")),
    "exclude": ("excluded_nodes", lambda text: text.split(",")),
}


def body(argv: Sequence[str], script: str, folder: str, environment: Mapping[str, str], old: bool) -> dict[str, object]:
    """Return the request for sbatch's ``argv``. Raises ConfigError for an option that the interface has no word for."""
    job = dict(_fields(argv, _OLD if old else _NEW))
    job["current_working_directory"] = folder
    job["environment"] = dict(environment) if old else [f"{name}={value}" for name, value in environment.items()]
    if not old:  # it has no word for a signal with its time in one
        _later_signal(job)
    return {"script": script, "job": job} if old else {"job": {**job, "script": script}}


def _fields(argv: Sequence[str], known: Mapping[str, _Field]) -> Iterator[tuple[str, Any]]:
    for word in argv:
        name, _, value = word.removeprefix("--").partition("=")
        field = known.get({"-H": "hold"}.get(word, name))
        if name == "signal" and field is None:
            yield "signal", value
        elif field is None or not word.startswith(("--", "-H")):
            text = f"slurmrestd takes no {word!r}: this version of its interface has no word for it"
            raise ConfigError(text, "leave it out, or submit with Slurm's commands, here or over ssh")
        else:
            yield field[0], field[1](value)


def _later_signal(job: dict[str, Any]) -> None:
    if said := job.pop("signal", ""):
        name, _, seconds = said.partition("@")
        job["kill_warning_signal"] = name
        job["kill_warning_delay"] = _set(int(seconds or 60))
