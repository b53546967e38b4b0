"""How the service of one rank is looked at: which port, which path, which command."""

from typing import Callable, List, Optional, Sequence

from .beside import Beside, beside
from .bundle import Bundle, BundleError, Health
from .containers import MARK
from .node import Node
from .places import ports
from .probes import CommandProbe, HttpProbe, OnEnd, Probe, TcpProbe
from .rank import Rank

_MAIN = "main"


class Service:
    """The looks at one rank, as its bundle has them."""

    def __init__(self, node: Node, rank: Rank, bundle: Bundle, here: Sequence[int], gpus: Optional[List[str]]) -> None:
        self._node, self._rank, self._bundle, self._here, self._gpus = node, rank, bundle, here, gpus
        self._beside: Optional[Beside] = None

    def look(self, health: Health) -> Callable[[OnEnd], Probe]:
        """What begins a look. It raises OSError or BundleError when that is impossible."""
        if health.command is not None:
            shell = ["/bin/sh", "-c", health.command]
            return lambda on_end: self._run(shell, health, on_end)
        return lambda on_end: self._connect(health, on_end)

    def _run(self, argv: List[str], health: Health, on_end: OnEnd) -> Probe:
        rank = self._rank
        if self._beside is None:  # once: it writes the files that are made of secrets
            self._beside = beside(
                rank.task_folder, self._bundle, rank.attempt, rank.number, self._gpus, argv, self._here
            )
        said = rank.folder + "/health"
        self._beside.env[MARK] = "%s-%d-%d" % (self._bundle.request_id, rank.attempt, rank.number)
        untold = bool(self._bundle.secrets.get("names") or self._bundle.secrets.get("files"))
        return CommandProbe(self._node.loop, health.timeout, on_end, self._node.witness, *self._beside, said, untold)

    def _connect(self, health: Health, on_end: OnEnd) -> Probe:
        rank, loop = self._rank, self._node.loop
        found = ports(rank.task_folder, self._bundle, rank.attempt, rank.number)
        if health.http is not None:
            port = found.get(_MAIN) or next(iter(found.values()), 0)
            return HttpProbe(loop, health.timeout, on_end, port, health.http)
        if health.tcp not in found:
            raise BundleError("no port has the name %s" % health.tcp)
        return TcpProbe(loop, health.timeout, on_end, found[health.tcp])
