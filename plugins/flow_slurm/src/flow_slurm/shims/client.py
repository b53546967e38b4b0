"""Commands inside a task that need to know of other tasks: they ask the Flow that submitted this one, where it is near."""

import getopt
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
    """A job may signal itself; for its end, as for that of others, the client is asked where it is near."""
    try:
        found, jobs = getopt.gnu_getopt(argv, "bfQvs:", ["batch", "full", "quiet", "verbose", "signal="])
    except getopt.GetoptError:
        return call("scancel", argv)
    flags = {name.lstrip("-")[0]: value for name, value in found}
    if len(jobs) != 1 or not is_own(jobs[0]):
        return call("scancel", argv)
    if "s" in flags:
        word = flags["s"].upper()
        known = signal.Signals.__members__.get(word if word.startswith("SIG") else "SIG" + word)
        if known is None and not word.isdigit():
            sys.stderr.write("scancel: error: Unknown job signal: %s\n" % flags["s"])
            return 1
        ask_leader("batch" if "b" in flags else "full" if "f" in flags else "steps", int(known or word))
        return 0
    if _is_near(Surroundings().job["client"]):
        return call("scancel", argv)
    ask_leader("cancel")
    return 0


def module(argv: List[str]) -> int:
    """There are no environment modules: the script goes on, and finds what the machine has."""
    words = [word for word in argv if not word.startswith("-")]
    sys.stderr.write(
        "module: there are no environment modules on this machine; `module %s` does nothing, and what is not installed here "
        "is missing\n" % " ".join(argv)
    )
    return 0 if (words[0] if words else "") in _HARMLESS else 1
