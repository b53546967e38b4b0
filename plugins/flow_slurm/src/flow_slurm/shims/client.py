"""Commands inside a task that need to know of other tasks: they ask the Flow that submitted this one, where it is near."""

import os
import signal
import sys
from typing import Any, Dict, List

from .steps import connect
from .surroundings import Surroundings

_HARMLESS = (
    "load",
    "add",
    "unload",
    "rm",
    "remove",
    "purge",
    "use",
    "unuse",
    "list",
    "swap",
    "switch",
    "restore",
    "reset",
    "",
)


def call(name: str, argv: List[str]) -> int:  # noqa: RET503
    """Become the command of the same name of the client; where that is on another machine, say so."""
    around = Surroundings()
    client = around.job["client"]
    if not _is_near(client):
        sys.stderr.write(
            "%s: the other tasks are known to the machine that submitted this one, which is not this one\n" % name
        )
        return 1
    provider = (around.bundle.get("config") or {}).get("provider")
    env = {**os.environ, **client["env"], **({"FLOW_DEFAULT": provider} if provider else {})}
    os.execve(client["python"], [client["python"], "-m", "flow_core", "slurm", name, *argv], env)


def _is_near(client: Dict[str, Any]) -> bool:
    return bool(client["machine"] == [os.uname().nodename, _boot()]) and os.path.exists(client["python"])


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def is_own(word: str) -> bool:
    """Whether a job's number is this task's own."""
    return word.split(",") == [os.environ.get("SLURM_JOB_ID", "")]


def ask_leader(what: str, number: int = 0) -> None:
    """Have the script that this is part of be ended, begun again or signalled."""
    around = Surroundings()
    address, _, port = os.environ["FLOW_SBATCH_STEPS"].rpartition(":")
    key = str(around.bundle.get("token") or around.bundle["request_id"]).encode()
    connection = connect(address, int(port), key)
    connection.send({"do": what, "signal": number})
    connection.recv()


def scancel(argv: List[str]) -> int:
    """A job that ends or signals itself needs no client."""
    jobs = [word for word in argv if word.isdigit() and argv[max(0, argv.index(word) - 1)] not in ("-s", "--signal")]
    flags = [word for word in argv if word not in jobs]
    if len(jobs) == 1 and is_own(jobs[0]) and not flags and not _is_near(Surroundings().job["client"]):
        ask_leader("cancel")
        return 0
    if len(jobs) == 1 and is_own(jobs[0]) and len(flags) in (1, 2):
        name = flags[-1].partition("=")[2] or flags[-1]
        known = name if name.startswith("SIG") else "SIG" + name
        if name.isdigit() or known in signal.Signals.__members__:
            ask_leader("signal", int(name) if name.isdigit() else int(signal.Signals[known]))
            return 0
    return call("scancel", argv)


def module(argv: List[str]) -> int:
    """There are no environment modules: the script goes on, and finds what the machine has."""
    words = [word for word in argv if not word.startswith("-")]
    sys.stderr.write(
        "module: there are no environment modules on this machine; `module %s` does nothing, and what is not installed here "
        "is missing\n" % " ".join(argv)
    )
    return 0 if (words[0] if words else "") in _HARMLESS else 1
