"""What a profile of this provider may set, and what a task may ask of Slurm itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from flow_core.secrets import Credential

PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH", "MODULEPATH", "LOADEDMODULES"),
)
"""The variables of the submitting shell that every task sees; ``pass_env`` adds more."""

# Ours: without them a task is not found again, or its record is lost.
_OURS = (
    *("comment", "output", "error", "input", "parsable", "array", "open-mode", "wait", "wrap", "test-only", "chdir"),
    *("export", "export-file", "get-user-env", "job-name", "nodes", "ntasks", "ntasks-per-node", "uid", "gid", "quiet"),
)
_SHORT = {"J": "job-name", "o": "output", "e": "error", "i": "input", "a": "array", "W": "wait", "D": "chdir"}
_SHORT |= {"N": "nodes", "n": "ntasks", "Q": "quiet"}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WORD = re.compile(r"[^\s-][^\s]*")


def _word(_instance: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None and not _WORD.fullmatch(value):
        raise ValueError(f"{value!r} is not a {attribute.name} as Slurm writes it: one word that begins with no dash")


def _host(_instance: object, _attribute: object, value: str | None) -> None:
    if value is not None and not re.fullmatch(r"([^\s@-][^\s@]*@)?[^\s@:-][^\s@:]*(:\d+)?", value):
        raise ValueError(f"{value!r} is not a login node: write [user@]host[:port]")


def _bare(url: str | None) -> str | None:
    return url and url.rstrip("/")


def _safe(settings: Any, _attribute: object, value: str | None) -> None:
    if value is None:
        return
    if settings.ssh is not None:
        raise ValueError("cannot be set beside `ssh`: choose one")
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must begin with https://: your token goes there")


def _extra(_instance: object, _attribute: object, value: tuple[str, ...]) -> None:
    for option in value:
        if not re.fullmatch(r"--[a-z][a-z0-9-]*(=[^\n]*)?|-[A-Za-z][^\n]*", option):
            raise ValueError(f"{option!r} is not an option of sbatch: write it as --name=value")
        name = option[2:].partition("=")[0] if option.startswith("--") else _SHORT.get(option[1], "")
        if any(ours == name or (len(name) > 2 and ours.startswith(name)) for ours in _OURS):
            raise ValueError(f"{option!r} is set by Flow itself: use the task's own fields")


@attrs.frozen
class SlurmSettings:
    """Settings of the provider ``slurm``."""

    root: str = attrs.field(
        default="~/.flow/slurm",
        metadata={"help": "Folder that login and compute nodes share; it holds tasks and volumes."},
    )
    ssh: str | None = attrs.field(
        default=None,
        validator=_host,
        metadata={"help": "Login node, as [user@]host[:port] or a name of your ssh config; default: this machine."},
    )
    rest: str | None = attrs.field(
        default=None,
        converter=_bare,
        validator=_safe,
        metadata={"help": "slurmrestd's URL, instead of Slurm's commands; https, or http on this machine."},
    )
    token: Credential | None = attrs.field(
        default=None, metadata={"help": "Token for slurmrestd (a JWT).", "secret": True, "env": "SLURM_JWT"}
    )
    jump: str | None = attrs.field(default=None, metadata={"help": "Host to jump over, as ssh -J takes it."})
    identity_file: str | None = attrs.field(default=None, metadata={"help": "Private key; default: what ssh finds."})
    host_keys: tuple[str, ...] = attrs.field(
        default=(), converter=tuple, metadata={"help": "The login node's public keys; default: your known_hosts."}
    )
    prepare: str = attrs.field(
        default="", metadata={"help": "Shell text before Slurm's commands over ssh, as `. /etc/profile`."}
    )
    python: str | None = attrs.field(
        default=None, metadata={"help": "Python 3.8 or newer on the nodes; default: the first that is found there."}
    )
    gpu_types: Mapping[str, str] = attrs.field(
        factory=dict,
        metadata={"help": "Names that people use for the cluster's Gres types, as h100: nvidia_h100_80gb."},
    )
    containers: str | None = attrs.field(
        default=None,
        metadata={"help": "What runs images: pyxis, apptainer or a path to it; default: what the login node has."},
    )
    pass_env: tuple[str, ...] = attrs.field(
        default=(), converter=tuple, metadata={"help": "More variables of the submitting shell that tasks see."}
    )


def _option(text: str, unit: str = "") -> str | None:
    metadata = {"help": text, **({"unit": unit} if unit else {})}
    field: str | None = attrs.field(default=None, validator=_word, metadata=metadata)
    return field


@attrs.frozen
class SlurmOptions:
    """The ``slurm:`` section of a task, and of a profile's ``defaults:``."""

    partition: str | None = _option("Partition, or several with commas.")
    account: str | None = _option("Account that pays.")
    qos: str | None = _option("Quality of service.")
    constraint: str | None = _option("Features that the nodes must have.")
    reservation: str | None = _option("Reservation to run in.")
    licenses: str | None = _option("Licences, as name:2,other:1.")
    nodelist: str | None = _option("Nodes to use.")
    exclude: str | None = _option("Nodes not to use.")
    dependency: str | None = _option("Further conditions, as afterok:1234; they are added to depends_on.")
    signal: str | None = _option("Warning before the time limit, as USR1@300; the command gets it.")
    time: float | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.gt(0)),
        metadata={"help": "Slurm's own limit for the job; default: made from time_limit.", "unit": "duration"},
    )
    exclusive: bool = attrs.field(default=False, metadata={"help": "Whole nodes."})
    requeue: bool | None = attrs.field(
        default=None, metadata={"help": "Start again after a preemption; default: unless max_preemptions is 0."}
    )
    extra: tuple[str, ...] = attrs.field(
        default=(), converter=tuple, validator=_extra, metadata={"help": "Any other options of sbatch, each one text."}
    )
