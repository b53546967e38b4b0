"""A network for machines: a bridge in a namespace of its own, and one link to this host."""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
import subprocess
import threading
from collections.abc import Sequence

from flow_instances._unavailable import Unavailable

_MOST = 253


class Network:
    """``10.77.N.0/24`` with an N that is free; this host is ``.1``. It goes when :meth:`close` is called or we die."""

    def __init__(self) -> None:
        hold = ["unshare", "--net", "sh", "-c", "echo; read -r _"]
        self._holder = subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        self.number = self._claim()
        self.gateway = f"10.77.{self.number}.1"
        self._relays: dict[int, _Relay] = {}
        self._links = 0
        self._free = list(range(_MOST + 1, 1, -1))
        self._inside("link add br0 type bridge", "link set br0 up", "link set host master br0 up")
        _ip(f"addr add {self.gateway}/24 dev {self._link}", f"link set {self._link} up")

    def close(self) -> None:
        for relay in self._relays.values():
            relay.close()
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        _ip(f"link del {self._link}")
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait()

    @property
    def published(self) -> list[int]:
        return list(self._relays)

    def publish(self, port: int) -> None:
        """Let machines that boot from now on reach ``port`` of this host's loopback at their own loopback."""
        if port not in self._relays:
            self._relays[port] = _Relay(self.gateway, port)

    def lease(self) -> str:
        """Return an address that nobody has."""
        return f"10.77.{self.number}.{self._free.pop()}"

    def free(self, address: str) -> None:
        self._free.insert(0, int(address.rpartition(".")[2]))

    def plug(self, pid: int, address: str) -> str:
        """Give the process's network namespace an ``eth0``; return the name of our end."""
        self._links += 1
        link, host = f"m{self._links}", int(address.rpartition(".")[2])
        mac = f"02:f1:00:00:{self.number:02x}:{host:02x}"
        self._inside(
            f"link add {link} type veth peer name eth0 address {mac} netns {pid}", f"link set {link} master br0 up"
        )
        return link

    def unplug(self, link: str, address: str) -> None:
        """Take an interface away; who calls the address is told soon that no host is there, as by a router."""
        self._inside(f"link del {link}", check=False)
        _batch(["ip"], [f"neigh flush to {address} dev {self._link}"])

    def set_link(self, link: str, up: bool) -> None:
        self._inside(f"link set {link} {'up' if up else 'down'}")

    def limit(self, link: str, pid: int, kilobits: int | None) -> None:
        """Let ``kilobits`` per second through to the machine of ``pid``, and from it; None: all."""
        words = ["del"] if kilobits is None else ["replace"]
        how = [] if kilobits is None else ["tbf", "rate", f"{kilobits}kbit", "burst", "16kb", "latency", "1s"]
        for inside, device in ((self._holder.pid, link), (pid, "eth0")):
            tc = [*_nsenter(inside), "tc", "qdisc", *words, "dev", device, "root", *how]
            done = subprocess.run(tc, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Unavailable(f"this kernel cannot slow a network: {done.stderr.strip()}")

    def _claim(self) -> int:
        for number in random.sample(range(1, 255), 254):
            self._link = f"machines{number}"
            words = f"link add {self._link} type veth peer name host netns {self._holder.pid}"
            if _batch(["ip"], [words]).returncode == 0:
                return number
        raise Unavailable("no network is free for test machines")

    def _inside(self, *lines: str, check: bool = True) -> None:
        done = _batch([*_nsenter(self._holder.pid), "ip"], lines)
        if check and done.returncode:
            raise RuntimeError(f"the network of test machines: {done.stderr.strip()}")


def _nsenter(pid: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{pid}/ns/net"]


def _ip(*lines: str) -> None:
    done = _batch(["ip"], lines)
    if done.returncode:
        raise RuntimeError(f"the network of test machines: {done.stderr.strip()}")


def _batch(program: Sequence[str], lines: Sequence[str]) -> subprocess.CompletedProcess[str]:
    words = [*program, "-batch", "-"]
    return subprocess.run(words, input="\n".join(lines), capture_output=True, text=True, check=False)


class _Relay(socketserver.ThreadingTCPServer):
    """Passes connections to the gateway on to the same port of the loopback."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int) -> None:
        self.port = port
        super().__init__((address, port), _Passing)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Passing(socketserver.BaseRequestHandler):
    server: _Relay

    def handle(self) -> None:
        try:
            onward = socket.create_connection(("127.0.0.1", self.server.port))
        except OSError:
            return
        with onward:
            back = threading.Thread(target=_pump, args=(onward, self.request), daemon=True)
            back.start()
            _pump(self.request, onward)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            end.shutdown(how)
