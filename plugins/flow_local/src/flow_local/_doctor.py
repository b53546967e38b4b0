"""What ``flow doctor`` says of this machine: what there is to give out, and which limits hold."""

from __future__ import annotations

from collections.abc import Iterator

from flow_core import nodes
from flow_core.types import DoctorCheck
from flow_local._machine import Machine

_CLAIMS = {"memory": "memory", "cpu": "cpus"}
_MEND = "run flow as root, or in a delegated group: systemd-run --user --scope -p Delegate=yes flow ..."


def checks(machine: Machine) -> Iterator[DoctorCheck]:
    """Yield the findings."""
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
