"""What all ranks of an attempt must agree on, whichever process starts them: rank 0's address, a port, the GPUs."""

import os
import socket
from typing import Dict, List, Optional, Sequence

from .bundle import Bundle
from .environment import Place
from .record import attempt_dir, create_json, read_json


def place(folder: str, bundle: Bundle, attempt: int, here: Sequence[int], gpus: Optional[List[str]]) -> Optional[Place]:
    """The place of an attempt; None until the process that runs rank 0 has chosen it.

    ``here`` are the ranks of this process, ``gpus`` the GPUs it may give to them (None: not ours to give).
    """
    if bundle.num_instances == 1:
        return _choose(bundle, here, gpus)
    path = "%s/attempts/%d/place.json" % (folder, attempt)
    if not os.path.exists(path) and 0 in here:
        chosen = _choose(bundle, here, gpus)
        create_json(path, {"address": chosen.address, "port": chosen.port})
    found = read_json(path)
    if found is None:
        return None
    return Place(found["address"], found["port"], _share(bundle, here, gpus))


def _choose(bundle: Bundle, here: Sequence[int], gpus: Optional[List[str]]) -> Place:
    port = int(bundle.master.get("port") or 0) or _free_port()
    return Place(_address(bundle, here), port, _share(bundle, here, gpus))


def ports(folder: str, bundle: Bundle, attempt: int, rank: int) -> Dict[str, str]:
    """The variables ``FLOW_PORT_<NAME>`` of a rank; a port of 0 is a free one, the same for whoever asks again."""
    wanted = {str(port["name"]): int(port["port"]) for port in bundle.ports}
    if 0 in wanted.values():
        path = attempt_dir(folder, attempt, rank) + "/ports.json"
        if not os.path.exists(path):
            create_json(path, {name: port or _free_port() for name, port in wanted.items()})
        wanted = read_json(path) or wanted
    return {"FLOW_PORT_" + _variable(name): str(port) for name, port in wanted.items()}


def _variable(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name.upper())


def _address(bundle: Bundle, here: Sequence[int]) -> str:
    """Rank 0's address: as told, or the first host of the environment variable that ``from`` names."""
    told = bundle.master.get("address") or os.environ.get("FLOW_RUNNER_MASTER")
    if told:
        return str(told)
    hosts = os.environ.get(str(bundle.master.get("from") or ""), "").replace(",", " ").split()
    if hosts:
        return hosts[0]
    return "127.0.0.1" if len(here) == bundle.num_instances else os.uname().nodename


def _free_port() -> int:
    """A port that was free a moment ago: who listens on it must be ready to find it taken."""
    with socket.socket() as trial:
        trial.bind(("", 0))
        return int(trial.getsockname()[1])


def _share(bundle: Bundle, here: Sequence[int], gpus: Optional[List[str]]) -> Optional[Dict[str, List[str]]]:
    if gpus is None:
        return None
    each = bundle.limits.gpu_count
    return {str(rank): gpus[at * each : (at + 1) * each] for at, rank in enumerate(here)}
