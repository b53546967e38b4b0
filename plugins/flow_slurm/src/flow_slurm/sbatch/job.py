"""What the files on the node must know of a request: ``job.json``."""

from __future__ import annotations

import getpass
import json
import os
import sys
from itertools import pairwise

from flow_slurm.sbatch import values
from flow_slurm.sbatch.request import Request
from flow_slurm.sbatch.script import Script

_PLACES = ("FLOW_HOME", "FLOW_DEFAULT", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
_BOOT = "/proc/sys/kernel/random/boot_id"


def document(script: Script, request: Request, tasks: int, cpus: int, array: values.Array | None, index: int) -> bytes:
    """Return the document, the same for the same request at the same place."""
    warning = request.read("signal", values.signal, None)
    said: dict[str, object] = {
        "name": request.text("job-name") or script.name,
        "tasks": tasks,
        "cpus_per_task": cpus,
        "given": {name: request.text(name) for name in sorted(request.given)},
        "signal": None if warning is None else [warning.number, warning.seconds, warning.batch],
        "array": None if array is None else _array(array, index),
        "submit_dir": os.getcwd(),
        "submit_host": os.uname().nodename,
        "user": getpass.getuser(),
        "client": _client(),
    }
    return json.dumps(said, indent=1).encode()


def _array(array: values.Array, index: int) -> dict[str, int]:
    found = array.indices
    step = min((after - before for before, after in pairwise(found)), default=1)
    return {"index": index, "count": len(found), "min": found[0], "max": found[-1], "step": step}


def _client() -> dict[str, object]:
    """How a command inside the task reaches this Flow, where it runs on the same machine."""
    return {
        "python": sys.executable,
        "env": {name: os.environ[name] for name in _PLACES if name in os.environ},
        "machine": [os.uname().nodename, boot()],
    }


def boot() -> str:
    """Return the id of this machine's present boot; empty where it has none."""
    try:
        with open(_BOOT) as file:
            return file.read().strip()
    except OSError:
        return ""
