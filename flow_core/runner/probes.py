"""One look at a service: at a TCP port, over HTTP, or by a command. Nothing here waits; the loop calls back."""

import abc
import errno
import os
import signal
import socket
import time
from contextlib import suppress
from typing import Callable, Dict, List, Optional

from . import process
from .containers import MARK
from .loop import Loop
from .witness import Witness

OnEnd = Callable[[str], None]

_HOST = "127.0.0.1"
_LINE_BYTES = 4096  # no status line is longer
_BLOCK = 65536
_SAID_BYTES = 300
_SIGNALS = [n for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP)]


class Probe(abc.ABC):
    """A look under way; ``on_end`` is called once: with "" when all is well, else with what is wrong."""

    def __init__(self, loop: Loop, timeout: float, on_end: OnEnd) -> None:
        self._loop, self._on_end, self._told = loop, on_end, False
        late = "no answer within %g s" % timeout
        self._timer = loop.at(time.monotonic() + timeout, lambda: self._give_up(late))

    def _give_up(self, why: str) -> None:
        self.stop()
        self._tell(why)

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            self._on_end(why)

    def stop(self) -> None:
        """Look no further; what is not told by now is never told by this."""
        self._timer.cancel()
        self._close()

    @abc.abstractmethod
    def _close(self) -> None:
        """Let go of what it looks with."""


class TcpProbe(Probe):
    """Whether something listens on a port of this machine."""

    def __init__(self, loop: Loop, timeout: float, on_end: OnEnd, port: int) -> None:
        super().__init__(loop, timeout, on_end)
        self._port, self._socket = port, socket.socket()
        self._socket.setblocking(False)
        code = self._socket.connect_ex((_HOST, port))
        if code in (0, errno.EINPROGRESS):
            loop.watch(self._socket.fileno(), self._connected, writable=True)
        else:
            loop.after(0.0, lambda: self._refused(code))

    def _refused(self, code: int) -> None:
        self._give_up("port %d: %s" % (self._port, os.strerror(code)))

    def _connected(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._refused(code)
        else:
            self._loop.forget(self._socket.fileno())
            self._talk()

    def _talk(self) -> None:
        self._give_up("")

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()


class HttpProbe(TcpProbe):
    """Whether GET of a path is answered with a status from 200 to 399."""

    def __init__(self, loop: Loop, timeout: float, on_end: OnEnd, port: int, path: str) -> None:
        self._path, self._line = path, b""
        super().__init__(loop, timeout, on_end, port)

    def _talk(self) -> None:
        words = (self._path, _HOST, self._port)
        request = "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: flow\r\nConnection: close\r\n\r\n" % words
        self._loop.watch(self._socket.fileno(), self._heard)
        with suppress(OSError):  # what is wrong is heard next
            self._socket.send(request.encode())

    def _heard(self) -> None:
        try:
            data = self._socket.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError as error:
            self._give_up("GET %s: %s" % (self._path, error.strerror))
            return
        if not data:
            self._give_up("GET %s: the connection was closed without an answer" % self._path)
        elif not self._told:
            self._read(data)
        # The rest is read and dropped: closing on it would be an error in the service's log.

    def _read(self, data: bytes) -> None:
        self._line += data
        line, end, _ = self._line.partition(b"\n")
        if end or len(line) > _LINE_BYTES:
            self._tell(self._judge(line))

    def _judge(self, line: bytes) -> str:
        words = line.split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return "GET %s: the answer is not HTTP" % self._path
        return "" if 200 <= int(words[1]) < 400 else "GET %s: status %d" % (self._path, int(words[1]))


class CommandProbe(Probe):
    """Whether a command ends with 0. What it says goes to the file ``said``.

    The first line of that is told, but where it may hold a secret (``untold``): what is told is kept and shown for good.
    """

    def __init__(
        self,
        loop: Loop,
        timeout: float,
        on_end: OnEnd,
        witness: Witness,
        argv: List[str],
        env: Dict[str, str],
        cwd: str,
        said: str,
        untold: bool,
    ) -> None:
        super().__init__(loop, timeout, on_end)
        self._said, self._untold = said, untold
        self._mark = os.fsencode("\0%s=%s\0" % (MARK, env[MARK])) if MARK in env else b""
        self._pid: Optional[int] = None
        try:
            self._pid = _spawn(argv, env, cwd, said)
            witness.other_children[self._pid] = self._ended
        except OSError as error:
            why = "the check cannot be started: %s" % error.strerror
            loop.after(0.0, lambda: self._give_up(why))

    def _ended(self) -> None:
        pid, self._pid = self._pid, None
        if pid is not None:
            info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            self._give_up(self._judge(info))

    def _judge(self, info: Optional[os.waitid_result]) -> str:
        if info is not None and info.si_code == os.CLD_EXITED:
            return "exit code %d%s" % (info.si_status, self._words()) if info.si_status else ""
        return "killed by signal %d" % (info.si_status if info is not None else 0)

    def _words(self) -> str:
        try:
            with open(self._said, "rb") as file:
                words = " ".join(file.read(_SAID_BYTES).decode("utf-8", "replace").split("\n")[0].split())
        except OSError:
            return ""
        if words and self._untold:
            return " (what it said may hold a secret: it is in its file `health` below FLOW_TASK_DIR)"
        return ": " + words if words else ""

    def _close(self) -> None:
        if self._pid is not None:
            with suppress(OSError):  # its session, which has the same number
                os.killpg(self._pid, signal.SIGKILL)
            for pid in filter(self._is_part, process.pids()):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _is_part(self, pid: int) -> bool:
        """Whether a process is part of the check, also in another session or in a container."""
        return bool(self._mark) and self._mark in process.environ(pid)


def _spawn(argv: List[str], env: Dict[str, str], cwd: str, said: str) -> int:
    os.chdir(cwd)
    try:
        return os.posix_spawnp(
            argv[0],
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_SIGNALS,
        )
    finally:
        os.chdir("/")
