"""What is below the API: the machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs


@attrs.frozen
class Launch:
    """What a machine is made of."""

    fid: str
    name: str
    keys: Sequence[str]
    """Public keys that may log in."""
    script: str | None
    volumes: Sequence[tuple[str, str, str]]
    """``(fid, name, "Block" or "File")`` of each."""
    group: Sequence[tuple[str, str]]
    """``(fid, name)`` of the machines of the same bid, this one included: they know each other's names."""
    gpus: int
    gpu: str
    """What ``nvidia-smi`` calls them."""


class Machines(Protocol):
    """Machines by the fid of their instance. No method but :meth:`act` waits for a machine."""

    problems: list[str]
    """What went wrong here that is no fault of who uses the API."""

    def launch(self, launch: Launch) -> None: ...
    def start(self, launch: Launch) -> None:
        """Start a machine that was stopped: same disk, startup script not run again."""

    def stop(self, fid: str) -> None: ...
    def restart(self, fid: str) -> None: ...
    def delete(self, fid: str) -> None: ...
    def signal(self, fid: str, notice: str | None) -> None:
        """Write the notice of a preemption where the platform writes it, or take it away."""

    def addresses(self, fid: str) -> tuple[str | None, str | None]:
        """Return the private address, and the ssh destination once it answers."""

    def ready(self, fid: str) -> bool: ...
    def delete_volume(self, fid: str) -> None: ...
    def act(self, fid: str, deed: str, **how: Any) -> Any:
        """Do to a machine what no API does: cut its power or its network, fill its disk."""

    def describe(self, fid: str) -> dict[str, Any]: ...
    def publish(self, port: int) -> None:
        """Let machines reach ``port`` of this host's loopback at their own."""

    def close(self) -> None: ...


class NoMachines:
    """Nothing boots; every instance has the same ssh destination."""

    def __init__(self, destination: str | None) -> None:
        self.problems: list[str] = []
        self._destination = destination
        self._private: dict[str, str] = {}

    def launch(self, launch: Launch) -> None:
        self._private[launch.fid] = f"10.0.0.{len(self._private) % 250 + 2}"

    def start(self, launch: Launch) -> None: ...
    def stop(self, fid: str) -> None: ...
    def restart(self, fid: str) -> None: ...
    def delete(self, fid: str) -> None: ...
    def signal(self, fid: str, notice: str | None) -> None: ...
    def delete_volume(self, fid: str) -> None: ...
    def publish(self, port: int) -> None: ...

    def addresses(self, fid: str) -> tuple[str | None, str | None]:
        return self._private.get(fid), self._destination

    def ready(self, fid: str) -> bool:
        return True

    def act(self, fid: str, deed: str, **how: Any) -> Any:
        raise LookupError("no machine is below this API")

    def describe(self, fid: str) -> dict[str, Any]:
        return {}

    def close(self) -> None: ...
