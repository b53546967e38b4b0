"""Boots one machine and stays until it has ended: run as a program of its own, standard library only.

stdin: one line of JSON (:class:`Boot` of ``_machine.py``), then ``net`` when the network interface was handed over,
then ``off`` (ask it to power off) or ``kill`` (cut the power). The end of stdin cuts the power too: a machine does not
outlive who made it. stdout: ``entered N``, the id of its first process as this host sees it, then ``up``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import platform
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
from typing import Any

_NEWNS, _NEWUTS, _NEWIPC, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
_RDONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_GET_FREE, _CONFIGURE, _AUTOCLEAR = 0x4C82, 0x4C0A, 4
_DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    given = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
    check(libc.mount(*given), f"mount {source} on {target}")


def bind(source: str, target: str) -> None:
    mount(source, target, flags=_BIND | _REC)


def attach(path: str, nodes: str) -> tuple[int, int]:
    """Attach a file to a free loop device, which is let go when nobody has it open; return its number and descriptor."""
    info = struct.pack("<Q32x12xI", 0, _AUTOCLEAR).ljust(232, b"\0")
    with open(path, "r+b") as file:
        config = struct.pack("<II", file.fileno(), 0) + info + bytes(64)
        while True:
            with open("/dev/loop-control", "rb") as control:
                number = fcntl.ioctl(control, _GET_FREE)
            node = os.path.join(nodes, f"loop{number}-{os.getpid()}")
            os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(7, number))
            device = os.open(node, os.O_RDWR | os.O_CLOEXEC)
            os.unlink(node)
            try:
                fcntl.ioctl(device, _CONFIGURE, config)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # else another was quicker
                    raise
                time.sleep(0.002)
            else:
                return number, device


def released(number: int, path: str) -> bool:
    """Whether a loop device no longer holds the file: nobody may have it, or already another machine."""
    try:
        with open(f"/sys/block/loop{number}/loop/backing_file") as file:
            return file.read().strip() != os.path.realpath(path)
    except OSError:
        return True


class Machine:
    """What happens in the first process of the machine, before it becomes its init."""

    def __init__(self, said: dict[str, Any], loops: dict[str, int]) -> None:
        self.said = said
        self.loops = loops
        self.root = os.path.join(said["folder"], "root")

    def enter(self) -> None:
        """Leave this machine's namespaces and control groups for its own."""
        for group in self.said["cgroups"]:
            with open(os.path.join(group, "cgroup.procs"), "w") as file:
                file.write(str(os.getpid()))
        check(libc.unshare(_NEWNS | _NEWUTS | _NEWIPC | _NEWNET), "unshare")
        mount("none", "/", flags=_REC | _PRIVATE)
        os.setsid()

    def connect(self) -> None:
        """Configure the interface that was handed over, and its way to the ports of the host's loopback."""
        said = self.said
        lines = ["link set lo up", f"addr add {said['address']}/24 dev eth0", "link set eth0 up"]
        lines += [f"route add default via {said['gateway']}"]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        if said["publish"]:
            with open("/proc/sys/net/ipv4/conf/all/route_localnet", "w") as file:
                file.write("1")
            rules = [
                f"-A OUTPUT -d 127.0.0.1 -p tcp --dport {port} -j DNAT --to-destination {said['gateway']}:{port}"
                for port in said["publish"]
            ]
            rules += [f"-A POSTROUTING -s 127.0.0.1 -d {said['gateway']} -j MASQUERADE"]
            table = "\n".join(["*nat", *rules, "COMMIT", ""])
            subprocess.run(["iptables-restore"], input=table, text=True, check=True)

    def furnish(self) -> None:
        """Mount its disk and what a kernel shows, and make it the root."""
        folder, root = self.said["folder"], self.root
        disk = os.path.join(folder, "disk")
        if "disk" in self.loops:
            self._mount_loop(self.loops["disk"], disk)
        os.makedirs(f"{disk}/upper", exist_ok=True)
        shutil.rmtree(f"{disk}/work", ignore_errors=True)  # else a volatile overlay is mounted once only
        os.mkdir(f"{disk}/work")
        # Volatile: else the end of each machine would wait for the whole of this host's disk to be written.
        layers = f"lowerdir={self.said['lower']},upperdir={disk}/upper,workdir={disk}/work,volatile"
        mount("overlay", root, "overlay", data=layers)
        mount("proc", f"{root}/proc", "proc")
        mount("sysfs", f"{root}/sys", "sysfs", flags=_RDONLY)
        mount("dev", f"{root}/dev", "tmpfs", data="mode=755,size=4m")
        for place, how in (("run", "mode=755"), ("tmp", "mode=1777")):
            mount(place, f"{root}/{place}", "tmpfs", data=how)
        self._devices()
        bind(f"{folder}/boot_id", f"{root}/proc/sys/kernel/random/boot_id")
        for place in self.said["scratch"]:
            os.makedirs(root + place, exist_ok=True)
            mount("scratch", root + place, "tmpfs")
        for share in self.said["shares"]:
            os.makedirs(root + share["at"], exist_ok=True)
            bind(share["folder"], root + share["at"])
        self._names()
        for file in self.said["files"]:
            self._write(file)

    def become_init(self) -> None:
        os.chdir(self.root)
        os.makedirs(".old", exist_ok=True)
        check(libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b".old"), "pivot_root")
        os.chdir("/")
        check(libc.umount2(b"/.old", 2), "umount")
        os.rmdir("/.old")
        os.execve("/sbin/machine-init", ["init"], {"HOSTNAME": self.said["hostname"]})

    def _mount_loop(self, number: int, target: str) -> None:
        node = os.path.join(self.said["folder"], "node")
        os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(7, number))
        mount(node, target, "ext4", data="nodelalloc")  # full when it is full, not when it is written
        os.unlink(node)

    def _devices(self) -> None:
        dev = f"{self.root}/dev"
        for name, minor in _DEVICES.items():
            self._node(name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        self._node("tty", stat.S_IFCHR | 0o666, os.makedev(5, 0))
        for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
            os.symlink(f"/proc/self/fd{target}", f"{dev}/{name}")
        for place in ("pts", "shm", "disk/by-id"):
            os.makedirs(f"{dev}/{place}")
        mount("devpts", f"{dev}/pts", "devpts", data="newinstance,ptmxmode=0666,mode=620")
        os.symlink("pts/ptmx", f"{dev}/ptmx")
        mount("shm", f"{dev}/shm", "tmpfs", data="mode=1777")
        open(f"{dev}/console", "w").close()
        bind(os.path.join(self.said["folder"], "console.log"), f"{dev}/console")
        for index, volume in enumerate(self.said["disks"]):
            name = f"vd{chr(ord('b') + index)}"
            self._node(name, stat.S_IFBLK | 0o660, os.makedev(7, self.loops[volume["file"]]))
            for alias in volume["ids"]:
                os.symlink(f"../../{name}", f"{dev}/disk/by-id/{alias}")

    def _node(self, name: str, mode: int, device: int) -> None:
        path = f"{self.root}/dev/{name}"
        os.mknod(path, mode, device)
        os.chmod(path, stat.S_IMODE(mode))

    def _write(self, file: dict[str, Any]) -> None:
        path = self.root + file["path"]
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder)
            os.chown(folder, file["owner"], file["owner"])
        with open(path, "w") as opened:
            opened.write(file["text"])
        os.chmod(path, file["mode"])
        os.chown(path, file["owner"], file["owner"])

    def _names(self) -> None:
        name, etc = self.said["hostname"], f"{self.root}/etc"
        check(libc.sethostname(name.encode(), len(name)), "sethostname")
        with open(f"{etc}/hostname", "w") as file:
            file.write(f"{name}\n")
        others = "".join(f"{address} {other}\n" for address, other in self.said["hosts"])
        with open(f"{etc}/hosts", "w") as file:
            file.write(f"127.0.0.1 localhost\n{self.said['address']} {name}\n{others}")
        open(f"{etc}/resolv.conf", "w").close()


def boot(said: dict[str, Any], loops: dict[str, int], ready: int) -> None:
    """Become the machine."""
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the hypervisor
    machine = Machine(said, loops)
    machine.enter()
    os.write(1, f"entered {os.readlink('/proc/self')}\n".encode())  # /proc is still this host's
    os.read(ready, 1)
    machine.connect()
    machine.furnish()
    console = os.open(os.path.join(said["folder"], "console.log"), os.O_WRONLY | os.O_APPEND)
    null = os.open("/dev/null", os.O_RDONLY)
    os.write(1, b"up\n")
    for source, target in ((null, 0), (console, 1), (console, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    machine.become_init()


def thaw(said: dict[str, Any]) -> None:
    for group in said["cgroups"]:
        if "/freezer/" in group:
            with open(os.path.join(group, "freezer.state"), "w") as file:
                file.write("THAWED")


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    commands = os.fdopen(0, "rb", buffering=0)
    said = json.loads(commands.readline())
    files = {volume["file"]: volume["file"] for volume in said["disks"]}
    if said["disk"]:
        files["disk"] = said["disk"]
    attached = {name: attach(path, said["folder"]) for name, path in files.items()}
    loops = {name: number for name, (number, _) in attached.items()}
    check(libc.unshare(_NEWPID), "unshare")
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        try:
            boot(said, loops, ready)
        except BaseException as error:
            os.write(2, f"boot: {error}\n".encode())
        os._exit(1)
    attend(said, commands, pid, go)
    for name, (loop, device) in attached.items():
        os.close(device)
        while not released(loop, files[name]):
            time.sleep(0.002)
    return 0


def attend(said: dict[str, Any], commands: Any, pid: int, go: int) -> None:
    """Pass commands on until the machine has ended; its end ends all of it."""
    end = os.pidfd_open(pid)
    while True:
        readable, _, _ = select.select([commands, end], [], [])
        if end in readable:
            os.waitpid(pid, 0)
            return
        command = commands.readline().strip()
        if command == b"net":
            os.write(go, b"1")
        elif command == b"off":
            os.kill(pid, signal.SIGTERM)
        else:
            os.kill(pid, signal.SIGKILL)
            thaw(said)
            os.waitpid(pid, 0)
            return


if __name__ == "__main__":
    sys.exit(main())
