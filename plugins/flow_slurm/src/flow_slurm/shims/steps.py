"""Job steps: what the nodes of a task say to each other, so that `srun` on one of them starts processes on all.

Rank 0 has the book of who uses which CPUs; the others announce themselves there and start what `srun` asks for. All of
them know the task's token, and talk to nobody who does not.
"""

import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any, Callable, Dict, List, Optional, Tuple

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CHUNK = 65536
Doc = Dict[str, Any]


class Refused(Exception):  # noqa: N818
    """The step cannot be: the message says why."""


def connect(address: str, port: int, key: bytes) -> Connection:
    """A connection to a node of the same task. Raises OSError, AuthenticationError."""
    sock = socket.create_connection((address, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = Connection(sock.detach())
    answer_challenge(connection, key)
    deliver_challenge(connection, key)
    return connection


class Listener:
    """Takes connections of those who know the key; ``serve`` is called in a thread for each, with its first message."""

    def __init__(self, address: str, port: int, key: bytes, serve: Callable[[Connection, Doc, str], None]) -> None:
        self._key, self._serve = key, serve
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1" if address in _LOOPBACK else "", port))
        self._socket.listen(128)
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            sock, peer = self._socket.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._meet, args=(sock, peer[0]), daemon=True).start()

    def _meet(self, sock: socket.socket, peer: str) -> None:
        with Connection(sock.detach()) as connection, suppress(Exception):
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            self._serve(connection, connection.recv(), peer)


class Book:
    """Who uses which CPUs of which node; steps wait here for what they ask for, in the order in which they came."""

    def __init__(self, hosts: List[str], cpus: int) -> None:
        self.hosts = hosts
        self._cpus = cpus
        self._free = [cpus] * len(hosts)
        self._changed = threading.Condition()
        self._line: List[object] = []
        self._steps = 0

    def take(self, asked: Doc, waits: Callable[[], None]) -> Tuple[int, List[Tuple[int, int, int]]]:
        """(step id, [(node, tasks, CPUs that it holds)]); ``waits`` is called once before it waits. Raises Refused."""
        self._possible(asked)
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            told = False
            while True:
                places = self._places(asked, self._free) if self._line[0] is ticket else None
                if places is not None:
                    break
                if not told:
                    told = True
                    waits()
                self._changed.wait()
            self._line.remove(ticket)
            for node, _, held in places:
                self._free[node] -= held
            self._steps += 1
            self._changed.notify_all()
            return self._steps - 1, places

    def give_back(self, places: List[Tuple[int, int, int]]) -> None:
        """A step has ended."""
        with self._changed:
            for node, _, held in places:
                self._free[node] += held
            self._changed.notify_all()

    def _possible(self, asked: Doc) -> None:
        unknown = [host for host in asked["hosts"] if host not in self.hosts]
        if unknown:
            raise Refused("Requested node configuration is not available")
        if asked["nodes"] > len(self.hosts):
            raise Refused("Requested more nodes than the task has: it has %d" % len(self.hosts))
        if self._places(asked, [self._cpus] * len(self.hosts)) is None:
            raise Refused("More processors requested than permitted")

    def _places(self, asked: Doc, free: List[int]) -> Optional[List[Tuple[int, int, int]]]:
        """How the tasks sit, or None while there is no room."""
        each, exact = asked["cpus"], asked["exact"]
        nodes = [node for node, host in enumerate(self.hosts) if host in asked["hosts"] or not asked["hosts"]]
        nodes = nodes[asked["relative"] :]
        if not asked["overlap"]:
            nodes = [node for node in nodes if (free[node] >= each if exact else free[node] == self._cpus)]
        wanted = (
            min(asked["nodes"] or len(nodes), asked["tasks"], len(nodes)) if asked["nodes"] == 0 else asked["nodes"]
        )
        chosen = nodes[:wanted]
        if not chosen or len(chosen) < wanted:
            return None
        counts = self._dealt(asked, chosen, free)
        if counts is None:
            return None
        held = {node: 0 if asked["overlap"] else (count * each if exact else self._cpus) for node, count in counts}
        return [(node, count, held[node]) for node, count in counts]

    def _dealt(self, asked: Doc, nodes: List[int], free: List[int]) -> Optional[List[Tuple[int, int]]]:
        tasks, each = asked["tasks"], asked["cpus"]
        if asked["per_node"]:
            counts = [min(asked["per_node"], max(0, tasks - at * asked["per_node"])) for at in range(len(nodes))]
        else:
            share, more = divmod(tasks, len(nodes))
            counts = [share + (at < more) for at in range(len(nodes))]
        if sum(counts) < tasks:
            raise Refused("%d tasks do not fit on %d nodes with %d each" % (tasks, len(nodes), asked["per_node"]))
        if not asked["overlap"] and not asked["overcommit"]:
            for node, count in zip(nodes, counts):
                if count * each > (free[node] if asked["exact"] else self._cpus):
                    return None
        return [(node, count) for node, count in zip(nodes, counts) if count]


class Leader:
    """Rank 0: keeps the book and the addresses, tells the others when the script has ended."""

    def __init__(self, hosts: List[str], cpus: int, address: str, port: int, key: bytes) -> None:
        self.book = Book(hosts, cpus)
        self.wishes: List[Tuple[str, int]] = []
        self.wished = threading.Event()
        self._nodes: Dict[int, Tuple[str, int]] = {}
        self._joined = threading.Condition()
        self._ends = threading.Event()
        self._steps: List[Connection] = []
        listener = Listener(address, port, key, self._serve)
        self.port = listener.port
        self._nodes[0] = (address, self.port)

    def _serve(self, connection: Connection, message: Doc, peer: str) -> None:
        if message["do"] == "join":
            with self._joined:
                self._nodes[message["rank"]] = (peer, message["port"])
                self._joined.notify_all()
            self._ends.wait()
            connection.send("end")
        elif message["do"] == "step":
            self._step(connection, message)
        elif message["do"] == "task":
            start_task(connection, message)
        else:
            self.wishes.append((message["do"], int(message.get("signal") or 0)))
            self.wished.set()
            connection.send("done")

    def _step(self, connection: Connection, asked: Doc) -> None:
        try:
            number, places = self.book.take(asked, lambda: connection.send(("waits",)))
        except Refused as error:
            connection.send(("refused", str(error)))
            return
        try:
            self._steps.append(connection)
            with self._joined:
                self._joined.wait_for(lambda: all(node in self._nodes for node, _, _ in places))
            found = [(node, self.book.hosts[node], self._nodes[node], count) for node, count, _ in places]
            connection.send(("step", number, found))
            with suppress(EOFError, OSError):
                connection.recv()  # it says nothing more: its end ends the step
        finally:
            self._steps.remove(connection)
            self.book.give_back(places)

    def tell_steps(self, number: int) -> None:
        """Signal the processes of all steps."""
        for connection in list(self._steps):
            with suppress(OSError):
                connection.send(("signal", number))

    def end(self) -> None:
        """The script has ended, and so do the other nodes."""
        self._ends.set()


def follow(rank: int, address: str, port: int, key: bytes) -> None:
    """Be one of the other ranks: start what is asked for, until rank 0 says that the script has ended, or is gone."""
    listener = Listener(address, 0, key, lambda connection, message, _: start_task(connection, message))
    leader = _reach(address, port, key)
    leader.send({"do": "join", "rank": rank, "port": listener.port})
    with suppress(EOFError, OSError):
        leader.recv()


def _reach(address: str, port: int, key: bytes) -> Connection:
    """Rank 0 may come later than we do: its machine is still being set up. The task's end ends this."""
    import time

    while True:
        try:
            return connect(address, port, key)
        except OSError:
            time.sleep(0.05)


# What differs between nodes, and is the node's own whatever `srun` was told.
_OF_NODE = ("CUDA_VISIBLE_DEVICES", "FLOW_NODE_RANK", "FLOW_TASK_DIR", "HOSTNAME")


def start_task(connection: Connection, asked: Doc) -> None:
    """Run one process of a step for the `srun` at the other end, which is its stdin, stdout and stderr."""
    env = dict(asked["env"])
    env.update((name, os.environ[name]) for name in _OF_NODE[: 4 if asked["gpus"] is None else 1] if name in os.environ)
    env.update(asked["own"])
    try:
        process = subprocess.Popen(
            asked["argv"], env=env, cwd=asked["cwd"] if os.path.isdir(asked["cwd"]) else None,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        connection.send(("failed", error.strerror))
        return
    lock = threading.Lock()
    pumps = [_pump(process.stdout, "out", connection, lock), _pump(process.stderr, "err", connection, lock)]
    threading.Thread(target=_obey, args=(connection, process), daemon=True).start()
    code = process.wait()
    for pump in pumps:
        pump.join(2.0)
    with lock, suppress(OSError):
        connection.send(("exit", code))


def _pump(stream: Any, name: str, connection: Connection, lock: threading.Lock) -> threading.Thread:
    def copy() -> None:
        while True:
            data = os.read(stream.fileno(), _CHUNK)
            if not data:
                return
            with lock:
                connection.send((name, data))

    def run() -> None:
        with suppress(OSError):
            copy()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _obey(connection: Connection, process: "subprocess.Popen[bytes]") -> None:
    """Pass on stdin and signals; when `srun` is gone, the process goes too."""
    assert process.stdin is not None
    with suppress(
        EOFError, OSError, ValueError, TypeError
    ):  # it may be closed while we read: some Pythons say TypeError
        while True:
            what, value = connection.recv()
            if what == "signal":
                _signal(process, value)
            elif value:
                with suppress(BrokenPipeError):
                    os.write(process.stdin.fileno(), value)
            else:
                process.stdin.close()
    if process.poll() is None:
        _signal(process, signal.SIGKILL)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
