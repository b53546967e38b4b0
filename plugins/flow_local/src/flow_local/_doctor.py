"""What ``flow doctor`` says of this machine: what there is to give out, and which limits hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flow_core import nodes
from flow_core.types import DoctorCheck
from flow_local import _vault
from flow_local._machine import Machine
from flow_local._storage import why_unlimited

_CLAIMS = {"memory": "memory", "cpu": "cpus"}
_MEND = "run flow as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes flow ..."


def checks(machine: Machine, volumes: Path) -> Iterator[DoctorCheck]:
    """Yield the findings; ``volumes`` is the folder that they are in."""
    yield DoctorCheck("this machine", "ok", machine.summary)
    for gpu in machine.gpus:
        if gpu.user:
            yield DoctorCheck(f"GPU {gpu.id}", "ok", f"used by {gpu.user}: tasks wait until it is free")
    enforced = nodes.enforced_limits()
    held = [f"{_CLAIMS[name]} (control groups, version {version})" for name, version in sorted(enforced.items())]
    if held:
        yield DoctorCheck("limits", "ok", f"enforced of what tasks claim: {', '.join(held)}")
    loose = [_CLAIMS[name] for name in _CLAIMS if name not in enforced]
    if loose:
        text = f"not enforced: {', '.join(loose)}; no control group may be written here, so claims are only counted"
        yield DoctorCheck("limits", "warning", text, _MEND)
    why = why_unlimited(volumes)
    yield DoctorCheck("volume sizes", "ok", f"noted, not enforced: {why}" if why else "enforced")
    reason = _vault.impossible()
    if reason is None:
        yield DoctorCheck("volume encryption", "ok", "gocryptfs")
    else:
        yield DoctorCheck("volume encryption", "ok", f"not possible: {reason[0]}", reason[1])
