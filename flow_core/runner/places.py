"""What all ranks of an attempt must agree on, whichever process starts them: rank 0's address, a port, the GPUs."""

import os
import random
import socket
from contextlib import ExitStack, suppress
from functools import lru_cache
from typing import Dict, Iterator, List, Optional, Sequence

from .bundle import Bundle
from .environment import Place
from .record import attempt_dir, create_json, read_json

_LOWEST, _OUTGOING = 10000, 32768  # Linux's default, ip(7)
_TRIES = 200


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


def port_variables(folder: str, bundle: Bundle, attempt: int, rank: int) -> Dict[str, str]:
    """The variables ``FLOW_PORT_<NAME>`` of a rank."""
    found = ports(folder, bundle, attempt, rank)
    return {"FLOW_PORT_" + _variable(name): str(port) for name, port in found.items()}


def ports(folder: str, bundle: Bundle, attempt: int, rank: int) -> Dict[str, int]:
    """The ports of a rank by name; one of 0 is a free one, the same for whoever asks again.

    A further attempt keeps those of the one before where they are free: who has the address need not ask again.
    """
    wanted = {str(port["name"]): int(port["port"]) for port in bundle.ports}
    if 0 not in wanted.values():
        return wanted
    path = attempt_dir(folder, attempt, rank) + "/ports.json"
    if not os.path.exists(path):
        before = read_json(attempt_dir(folder, attempt - 1, rank) + "/ports.json") or {}
        create_json(path, _free_ports(wanted, before))
    return read_json(path) or wanted


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


def _free_ports(wanted: Dict[str, int], before: Dict[str, int]) -> Dict[str, int]:
    """All of them at once, so that no two are the same."""
    with ExitStack() as held:
        return {name: port or _free_port(held, before.get(name, 0)) for name, port in wanted.items()}


def _free_port(held: Optional[ExitStack] = None, preferred: int = 0) -> int:
    """A port that is free: nobody else can have it until ``held`` is closed.

    Below those that the kernel gives to outgoing connections, or one of these might take it before the task listens;
    by chance, so that two tasks that start at once do not choose the same.
    """
    for port in _candidates(preferred):
        with suppress(OSError):
            return _take(port, held)
    raise OSError("no port of this machine is free")


def _candidates(preferred: int) -> Iterator[int]:
    if preferred:
        yield preferred
    top = _first_outgoing()
    for _ in range(_TRIES if top > _LOWEST else 0):
        yield random.randrange(_LOWEST, top)
    yield 0


def _take(port: int, held: Optional[ExitStack]) -> int:
    with ExitStack() as trial:
        taken = trial.enter_context(socket.socket())
        # As servers do: what is left of connections to the attempt before does not keep the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("", port))
        taken.listen(1)  # two that only bind may have the same port
        number = int(taken.getsockname()[1])
        if held is not None:
            held.push(trial.pop_all())
        return number


@lru_cache(maxsize=None)
def _first_outgoing() -> int:
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return _OUTGOING


def _share(bundle: Bundle, here: Sequence[int], gpus: Optional[List[str]]) -> Optional[Dict[str, List[str]]]:
    if gpus is None:
        return None
    each = bundle.limits.gpu_count
    return {str(rank): gpus[at * each : (at + 1) * each] for at, rank in enumerate(here)}
