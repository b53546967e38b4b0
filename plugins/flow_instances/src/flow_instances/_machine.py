"""One machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from flow_instances import _cgroup
from flow_instances._unavailable import Unavailable

if TYPE_CHECKING:
    from flow_instances._site import Site

_HYPERVISOR = Path(__file__).with_name("_hypervisor.py")
_JOIN = 'for group in $1; do echo $$ > "$group"; done; shift; exec "$@"'
_KEY_BEGIN, _KEY_END = "-----BEGIN SSH HOST KEY KEYS-----\n", "-----END SSH HOST KEY KEYS-----"


@attrs.frozen
class Disk:
    """A block volume: a file, and the names it has in ``/dev/disk/by-id``. It appears as ``/dev/vdb`` and so on."""

    file: Path
    ids: Sequence[str] = ()


@attrs.frozen
class Share:
    """A folder of this host that the machine sees at ``at``."""

    folder: Path
    at: str


@attrs.frozen
class Plan:
    """What a machine is made of. ``memory`` and ``disk`` are in MiB; ``disk=None`` is as large as this host's."""

    hostname: str | None = None
    """Default: the name it has here."""
    keys: Sequence[str] = ()
    script: str | None = None
    script_path: str = "/var/lib/startup.sh"
    script_log: str = "/var/log/startup.log"
    disks: Sequence[Disk] = ()
    shares: Sequence[Share] = ()
    scratch: Sequence[str] = ()
    """Folders that are empty after each boot."""
    files: Mapping[str, str] = attrs.field(factory=dict)
    """Programs and files to begin with: ``{path: text}``, all executable."""
    hosts: Sequence[tuple[str, str]] = ()
    """``(address, name)`` of others that it knows by name."""
    memory: int | None = None
    cpus: float | None = None
    disk: int | None = None
    docker: bool = False
    """Whether its Docker runs, which knows one image, ``machine:1``: the machine's own shell."""


class Machine:
    """A machine with a disk of its own, off until :meth:`start`. Its methods may be called from any thread."""

    user = "ubuntu"

    def __init__(self, site: Site, name: str, address: str, plan: Plan) -> None:
        self.name = name
        self.address = address
        self.plan = plan
        self.folder = site.folder / "machines" / name
        self._site = site
        self._lock = threading.RLock()
        self._hypervisor: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._link = ""
        for part in ("disk", "root"):
            (self.folder / part).mkdir(parents=True)
        (self.folder / "console.log").touch()
        self._first: list[dict[str, Any]] = list(_first_files(plan))
        if plan.disk is not None:
            _blank(self.folder / "disk.img", plan.disk)
            words = ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(self.folder / "disk.img")]
            subprocess.run(words, check=True)
        self._groups = _cgroup.create(f"{site.name}-{name}", plan.memory, plan.cpus)

    @property
    def alive(self) -> bool:
        """Whether it has power. A frozen machine, or one that is cut off, is alive."""
        return self._hypervisor is not None and self._hypervisor.poll() is None

    def start(self) -> None:
        """Switch it on; return when its kernel would run, before it answers."""
        with self._lock:
            if self.alive:
                raise RuntimeError(f"{self.name} is on")
            words = [sys.executable, "-I", "-S", str(_HYPERVISOR)]
            with open(self.folder / "hypervisor.log", "ab") as log:
                pipe = subprocess.PIPE
                self._hypervisor = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=log, bufsize=0)
            try:
                self._boot()
            except BaseException:
                self.kill()
                raise
            self._first = []

    def stop(self, grace: float = 5.0) -> None:
        """Have it power off: all its processes get SIGTERM; after ``grace`` seconds the power is cut."""
        with self._lock:
            if self.alive:
                self._send("off")
                self._ended(grace)
            self.kill()

    def kill(self) -> None:
        """Cut the power. What was written to its disks stays: the host's own cache does not lose power."""
        with self._lock:
            if self._hypervisor is None:
                return
            if self.alive:
                self._send("kill")
            self._hypervisor.wait()
            for pipe in (self._hypervisor.stdin, self._hypervisor.stdout):
                assert pipe is not None
                pipe.close()
            self._site.network.unplug(self._link, self.address)
            self._hypervisor = None

    def restart(self, grace: float = 5.0) -> None:
        """Power it off and on; its boot disk stays, the startup script does not run again."""
        with self._lock:
            self.stop(grace)
            self.start()

    def freeze(self) -> None:
        """Stop all its processes where they are; its network still takes packets, and nobody answers them."""
        self._set_freezer("FROZEN")

    def thaw(self) -> None:
        self._set_freezer("THAWED")

    def cut(self) -> None:
        """Cut it off from the network: nothing is refused, nothing arrives."""
        self._site.network.set_link(self._link, up=False)

    def mend(self) -> None:
        self._site.network.set_link(self._link, up=True)

    def slow(self, kilobits: int | None) -> None:
        """Let ``kilobits`` per second through each way; None: all. Raises :class:`Unavailable` where the kernel cannot."""
        self._site.network.limit(self._link, self._pid, kilobits)

    def fill(self, path: str = "/filler") -> None:
        """Fill its disk, by a file at ``path``; only a machine with a ``disk`` of its own size has one to fill."""
        if self.plan.disk is None:
            raise Unavailable(f"{self.name} has no disk of its own size")
        self.run("sh", "-c", f"for size in 1M 4k 1; do dd if=/dev/zero bs=$size >> {path}; done")

    def delete(self) -> None:
        """Cut its power and remove its disk. Volumes and shares stay."""
        with self._lock:
            self.kill()
            _cgroup.delete(self._groups)
            shutil.rmtree(self.folder)
            self._site.forget(self)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it as root, as from its console: the network has no part in it."""
        enter = ["nsenter", "--target", str(self._pid), "--all", "--root", "--wd"]
        join = ["sh", "-c", _JOIN, "run", " ".join(str(group / "cgroup.procs") for group in self._groups)]
        return subprocess.run([*join, *enter, *words], capture_output=True, text=True, check=False)

    def path(self, inside: str) -> Path:
        """Return where this host sees a file of the running machine."""
        return Path(f"/proc/{self._pid}/root{inside}")

    def console(self) -> str:
        """Return what its console showed, from the first boot on."""
        return (self.folder / "console.log").read_text("utf-8", "replace")

    def host_key(self) -> str | None:
        """Return the public key of its sshd, as the console tells it; None before that."""
        shown = self.console().rpartition(_KEY_BEGIN)[2].partition(_KEY_END)
        return shown[0].strip() if shown[1] else None

    def answers(self, timeout: float = 0.2) -> bool:
        """Say whether its sshd takes a connection now."""
        try:
            with socket.create_connection((self.address, 22), timeout):
                return True
        except OSError:
            return False

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until its sshd answers; :class:`TimeoutError` with its console when it does not."""
        deadline = time.monotonic() + timeout
        while not self.answers():
            if time.monotonic() > deadline or not self.alive:
                state = f"does not answer within {timeout:.0f} s" if self.alive else "ended while it booted"
                raise TimeoutError(f"{self.name} {state}; {self._shown()}")
            time.sleep(0.01)

    def _boot(self) -> None:
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        self._send(json.dumps(self._description()))
        self._pid = int(self._said("entered "))
        self._link = self._site.network.plug(self._pid, self.address)
        self._send("net")
        self._said("up")

    def _description(self) -> dict[str, Any]:
        plan, network = self.plan, self._site.network
        return {
            "lower": str(self._site.image),
            "folder": str(self.folder),
            "disk": None if plan.disk is None else str(self.folder / "disk.img"),
            "hostname": plan.hostname or self.name,
            "address": self.address,
            "gateway": network.gateway,
            "publish": network.published,
            "hosts": [list(each) for each in plan.hosts],
            "disks": [{"file": str(disk.file), "ids": list(disk.ids)} for disk in plan.disks],
            "shares": [{"folder": str(share.folder), "at": share.at} for share in plan.shares],
            "scratch": list(plan.scratch),
            "files": self._first,
            "cgroups": [str(group) for group in self._groups],
        }

    def _send(self, line: str) -> None:
        assert self._hypervisor is not None
        assert self._hypervisor.stdin is not None
        try:
            self._hypervisor.stdin.write(f"{line}\n".encode())
        except BrokenPipeError:
            self._hypervisor.wait()

    def _said(self, start: str) -> str:
        assert self._hypervisor is not None
        assert self._hypervisor.stdout is not None
        line = self._hypervisor.stdout.readline().decode().strip()
        if not line.startswith(start):
            self.kill()  # all that it says is in its log then
            raise RuntimeError(f"{self.name} does not boot; {self._shown()}")
        return line.removeprefix(start)

    def _shown(self) -> str:
        """What a boot that went wrong said: the hypervisor, and the console."""
        log = (self.folder / "hypervisor.log").read_text("utf-8", "replace")
        return f"its hypervisor said:\n{log}its console:\n{self.console()}"

    def _ended(self, timeout: float) -> None:
        assert self._hypervisor is not None
        try:
            self._hypervisor.wait(timeout)
        except subprocess.TimeoutExpired:
            return

    def _set_freezer(self, state: str) -> None:
        file = _cgroup.freezer(self._groups)
        if file is None:
            raise Unavailable("machines cannot be frozen here: no freezer control group may be written")
        file.write_text(state)


def _first_files(plan: Plan) -> list[dict[str, Any]]:
    made = [_file("/sbin/machine-init", files(__package__).joinpath("init.sh").read_text("utf-8"), 0o755)]
    made += [_file(path, text, 0o755) for path, text in plan.files.items()]
    made += [_file("/home/ubuntu/.ssh/authorized_keys", "".join(f"{key}\n" for key in plan.keys), 0o600, 1000)]
    if plan.docker:
        made += [_file("/etc/machine-docker", "", 0o644)]
    if plan.script is not None:
        made += [_file(plan.script_path, plan.script, 0o700), _file(plan.script_log, "", 0o644)]
        made += [_file("/var/lib/first-boot", f"{plan.script_path} {plan.script_log}\n", 0o644)]
    return made


def _file(path: str, text: str, mode: int, owner: int = 0) -> dict[str, Any]:
    return {"path": path, "text": text, "mode": mode, "owner": owner}


def _blank(path: Path, megabytes: int) -> None:
    with open(path, "wb") as file:
        file.truncate(megabytes << 20)
