"""The environment and the place a rank runs in."""

import json
import os
from contextlib import suppress
from typing import Dict, List, NamedTuple, Optional

from .bundle import Bundle, BundleError
from .record import Doc, write_file

TICKETS = "flow.tickets"  # among the secrets
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Place(NamedTuple):
    """What all ranks of an attempt must agree on; ``gpus`` by rank, None = not ours to give."""

    address: str
    port: int
    gpus: Optional[Dict[str, List[str]]]


def environment(folder: str, bundle: Bundle, attempt: int, rank: int, place: Place) -> Dict[str, str]:
    """Everything a rank finds in its environment, and nothing else."""
    env = {"PATH": _PATH}
    if bundle.env_pass:
        env.update((name, value) for name, value in os.environ.items() if _is_passed(name, bundle.env_pass))
    env.update((str(name), str(value)) for name, value in (bundle.rank_env.get(str(rank)) or {}).items())
    env.update(bundle.env)
    if "HOME" not in env:
        env["HOME"] = _home()
    env.update(_secrets(folder, bundle, env["HOME"]))
    env.update(_rank(folder, bundle, attempt, rank, place))
    if place.gpus is not None:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(place.gpus.get(str(rank), ()))
        env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as nvidia-smi counts; CUDA's own order has the fastest first
    return env


def _is_passed(name: str, passed: List[str]) -> bool:
    """Whether the task sees a variable of the runner's own; ``SLOT_*`` passes all that begin so."""
    return name in passed or any(word[-1:] == "*" and name.startswith(word[:-1]) for word in passed)


def _rank(folder: str, bundle: Bundle, attempt: int, rank: int, place: Place) -> Dict[str, str]:
    nodes, number = str(bundle.num_instances), str(rank)
    env = {
        "FLOW_TASK_ID": bundle.task_id,
        "FLOW_TASK_DIR": folder,
        "FLOW_ATTEMPT": str(attempt),
        "FLOW_NODE_RANK": number,
        "FLOW_NUM_NODES": nodes,
        "FLOW_NODE_IPS": _node_ips(bundle, place),
        "FLOW_GPUS_PER_NODE": str(bundle.limits.gpu_count),
        "MASTER_ADDR": place.address,
        "MASTER_PORT": str(place.port),
        "NODE_RANK": number,
        "NNODES": nodes,
    }
    if bundle.processes_per_node == 1:
        env.update(process_ranks(rank, bundle.num_instances, 1, 0))
    return env


def process_ranks(rank: int, nodes: int, per_node: int, local: int) -> Dict[str, str]:
    """The variables that differ between the processes of one node."""
    return {
        "RANK": str(rank * per_node + local),
        "WORLD_SIZE": str(nodes * per_node),
        "LOCAL_RANK": str(local),
    }


def _node_ips(bundle: Bundle, place: Place) -> str:
    """All addresses, in the order of ranks; only rank 0's where nobody has told the others."""
    told = ",".join(bundle.node_ips) or os.environ.get("FLOW_NODE_IPS", "")
    if told:
        return told
    local = place.address in ("127.0.0.1", "localhost", "::1")
    return ",".join([place.address] * (bundle.num_instances if local else 1))


def _home() -> str:
    if "HOME" in os.environ:
        return os.environ["HOME"]
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def _secrets(folder: str, bundle: Bundle, home: str) -> Dict[str, str]:
    """The secrets that go into the environment; those that are files are written (0600) where they belong."""
    names: Dict[str, str] = bundle.secrets.get("names") or {}
    files: Dict[str, str] = bundle.secrets.get("files") or {}
    if not names and not files:
        return {}
    values = read_secrets(folder)
    missing = sorted({key for key in (*names.values(), *files.values()) if key not in values})
    if missing:
        raise BundleError("no value was delivered for the secret %s: submit the task again" % ", ".join(missing))
    for path, key in files.items():
        _write_secret(_at_home(path, home), values[key])
    return {name: values[key] for name, key in names.items()}


def _at_home(path: str, home: str) -> str:
    """A path that may begin with the home of the task, which need not be that of this process."""
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def read_secrets(folder: str) -> Dict[str, str]:
    """What was delivered, by name; nothing once the task is final."""
    try:
        with open(folder + "/secrets", "rb") as file:
            return {str(key): str(value) for key, value in json.loads(file.read()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _write_secret(path: str, value: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        write_file(path, value.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise BundleError("the secret file %s cannot be written (%s)" % (path, error.strerror)) from error


def take_tickets(folder: str, bundle: Bundle) -> None:
    """Keep the tickets that came with the secrets: what the task keeps is sent after its end."""
    given = read_secrets(folder).get(TICKETS)
    if given is not None and not os.path.exists(folder + "/tickets.json"):
        write_file(folder + "/tickets.json", given.encode())


def remove_secrets(folder: str, bundle: Optional[Bundle]) -> None:
    """Remove what was delivered, and the files that were made of it."""
    files: Doc = (bundle.secrets.get("files") or {}) if bundle else {}
    home = (bundle.env.get("HOME") if bundle else None) or _home()
    for path in (folder + "/secrets", *(_at_home(name, home) for name in files)):
        try:
            os.unlink(path)
        except OSError:
            continue


def working_dir(folder: str, bundle: Bundle) -> str:
    """The folder the command starts in. Raises BundleError when it is not there, but for a container's."""
    mode = bundle.code.get("mode") or "none"
    if mode == "inplace":
        base = str(bundle.code.get("root") or "/")
    else:
        base = folder + ("/code" if mode == "snapshot" else "/work")
    if mode == "none":
        with suppress(FileExistsError):
            os.mkdir(base, 0o700)
    path = os.path.join(base, os.path.expanduser(bundle.working_dir or ""))
    if bundle.image is None and not os.path.isdir(path):
        raise BundleError("working_dir %s is not a folder on this machine: create it or name another one" % path)
    return path
