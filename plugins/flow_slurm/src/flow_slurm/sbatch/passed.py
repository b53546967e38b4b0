"""The options that the cluster's own sbatch gets as they are."""

from __future__ import annotations

import re

from flow_slurm.sbatch import values
from flow_slurm.sbatch.options import PASSED
from flow_slurm.sbatch.request import Request
from flow_slurm.shims.scontrol import compress

_FIELDS = ("partition", "account", "qos", "constraint", "reservation", "licenses", "nodelist", "exclude")
_WORD = re.compile(r"[^\s-]\S*")


def native(request: Request) -> dict[str, object]:
    """Return the options for Slurm itself, as they were given: those that neither the config nor the node's files keep.

    What the config says less well is among them too; of an option that is said twice sbatch takes the last.
    """
    fields: dict[str, object] = {}
    extra = []
    for given in request.given.values():
        option, value = given.option, given.value
        if option.on_slurm != PASSED and not _is_more(request, option.name):
            continue
        value = nodelist(request) if option.name == "nodelist" else value
        if option.name in _FIELDS and value and _WORD.fullmatch(value):
            fields[option.name] = value
        elif option.name == "exclusive" and not value:
            fields["exclusive"] = True
        else:
            extra.append(option.dashed if value is None else f"{option.dashed}={value}")
    return {**fields, "extra": extra} if extra else fields


def nodelist(request: Request) -> str:
    """Return the nodes that are asked for by name: of more than there are tasks sbatch takes the first."""
    hosts = request.read("nodelist", values.hosts, [])
    return compress(hosts[: request.read("ntasks", values.count, len(hosts))]) or request.text("nodelist")


def _is_more(request: Request, name: str) -> bool:
    """Whether this value says what the config has no word for."""
    if name == "gres":
        return any(kind not in ("gpu", "tmp") for kind, _ in request.read("gres", values.gres, []))
    return name == "mem" and request.read("mem", values.mebibytes, None) == 0
