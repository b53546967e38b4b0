"""Where machines are: a folder, a network, an end."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO

from flow_instances import _cgroup
from flow_instances._image import image
from flow_instances._machine import Machine, Plan, _blank
from flow_instances._network import Network
from flow_instances._unavailable import Unavailable, unavailable


def _sites() -> Path:
    return Path(tempfile.gettempdir(), "flow-instances")


class Site:
    """Machines of one test run: ``with Site() as site: machine = site.create("one")``. They end with it, or with us."""

    def __init__(self) -> None:
        problem = unavailable()
        if problem:
            raise Unavailable(problem)
        sweep()
        self.image = image()
        _sites().mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="site-", dir=_sites()))
        self.folder.chmod(0o755)
        self.name = f"fi-{self.folder.name}"
        self._owned = _own(self.folder)
        self.network = Network()
        self._machines: list[Machine] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Site:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create(self, name: str, plan: Plan | None = None, address: str | None = None) -> Machine:
        """Make a machine and switch it on."""
        machine = self.add(name, plan, address)
        machine.start()
        return machine

    def add(self, name: str, plan: Plan | None = None, address: str | None = None) -> Machine:
        """Make a machine that is off. ``address`` is one of :meth:`lease`."""
        machine = Machine(self, name, address or self.lease(), plan or Plan())
        with self._lock:
            self._machines.append(machine)
        return machine

    def lease(self) -> str:
        """Return an address for a machine to come."""
        with self._lock:
            return self.network.lease()

    def volume(self, name: str, megabytes: int) -> Path:
        """Make a blank block volume: a sparse file."""
        path = self.folder / f"{name}.volume"
        _blank(path, megabytes)
        return path

    def folder_for(self, name: str) -> Path:
        """Make a folder to share with machines."""
        path = self.folder / f"{name}.share"
        path.mkdir()
        path.chmod(0o1777)
        return path

    def publish(self, port: int) -> None:
        """Let machines that boot from now on reach ``port`` of this host's loopback at their own loopback.

        No cloud does that: it stands for a service on the internet, so that a test needs neither names nor certificates.
        A machine that is cut off does not reach it.
        """
        self.network.publish(port)

    def forget(self, machine: Machine) -> None:
        with self._lock:
            self._machines.remove(machine)
            self.network.free(machine.address)

    def close(self) -> None:
        """End every machine and remove all that was made."""
        for machine in list(self._machines):
            machine.delete()
        self.network.close()
        shutil.rmtree(self.folder)
        self._owned.close()


def sweep() -> list[Path]:
    """Remove what sites left whose process was killed; return their folders. Their machines ended with the process."""
    gone = []
    for folder in _sites().glob("site-*"):
        if _unowned(folder):
            _cgroup.delete(_cgroup.left(f"fi-{folder.name}-"))
            shutil.rmtree(folder, ignore_errors=True)
            gone.append(folder)
    return gone


def _own(folder: Path) -> IO[str]:
    """Lock a folder against :func:`sweep` for as long as this process lives; never there and not yet locked."""
    file = open(folder / "owned.new", "w")  # noqa: SIM115 - it stays open
    fcntl.flock(file, fcntl.LOCK_EX)
    Path(file.name).rename(folder / "owned")
    return file


def _unowned(folder: Path) -> bool:
    try:
        with open(folder / "owned") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:
        return False
