"""The client's side of a machine's queue: wake the one that serves it, or start one.

A task is accepted when its folder stands under ``ROOT/tasks/``. Whoever put it there rings; when nobody listens it
takes the lock and starts one that inherits it. No wish is lost: the one that serves looks at all folders after it
has closed its bell and before it lets go of the lock.
"""

import errno
import fcntl
import os
import signal
import socket
import time
from typing import Dict, Optional

from . import control
from .launch import command
from .record import locate
from .tree import SERVER

_PATIENCE = 30.0  # seconds: of hundreds of clients that begin at once on few cores, the server is one
_PAUSES = (0.001, 0.05)  # seconds between two looks: the first, the longest
_KEPT = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH"),
        *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    )
)
_KEPT_PREFIXES = ("LC_", "FLOW_RUNNER_")
_NULL = os.devnull


def bell_address(root: str, folder: int) -> str:
    """The address of the bell; ``folder`` is ``root`` opened, for paths longer than a socket's may be (108 bytes)."""
    path = root + "/bell"
    return path if len(os.fsencode(path)) < 100 else "/proc/self/fd/%d/bell" % folder


def ring(root: str, task: str = "") -> bool:
    """Say that a task's folder is new or changed ("": look at all); False when nobody serves this root."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.settimeout(_PATIENCE)
            line.connect(bell_address(root, folder))
            line.send(task.encode() or b" ")
            return True
    except OSError as error:
        # Full for so long: somebody is there, and looks at all folders when it comes round.
        return error.errno == errno.EAGAIN or isinstance(error, socket.timeout)
    finally:
        os.close(folder)


def ensure_serving(root: str, task: str = "") -> None:
    """Have somebody serve this root and look at ``task`` ("": at all); returns at once.

    The server outlives this process, holds none of its descriptors and is not its child.
    Raises TimeoutError when the lock is held by somebody who does not answer, OSError when none can be started.
    """
    if not os.path.isdir(root + "/tasks"):
        os.makedirs(root + "/tasks", 0o700, exist_ok=True)
    deadline, pause = time.monotonic() + _PATIENCE, _PAUSES[0]
    while not ring(root, task):
        lock = _take(root + "/serve.lock")
        if lock is None:
            # Somebody is starting up, or about to leave.
            if time.monotonic() > deadline:
                raise TimeoutError("%s/serve.lock is held, but nobody answers: see %s/serve.log" % (root, root))
            time.sleep(pause)
            pause = min(2 * pause, _PAUSES[1])
            continue
        try:
            if not ring(root, task):
                _start(root, lock)
            return
        finally:
            os.close(lock)


def _take(path: str) -> Optional[int]:
    """The lock of a root as a descriptor above the standard ones; None while another has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    except BlockingIOError:
        return None
    finally:
        os.close(fd)


def _start(root: str, lock: int) -> None:
    shell = '"$@" & '  # two generations: this process gets no child to wait for, and no signal from one
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", shell, "flow", *command("serve", os.path.abspath(root), "3")],
        _reduced(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, _NULL, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, _NULL, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, _NULL, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, lock, 3),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[number for number in range(1, 32) if number not in (signal.SIGKILL, signal.SIGSTOP)],
    )
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return  # the program reaps its children by itself


def _reduced() -> Dict[str, str]:
    """What a server needs of this environment: nothing that marks it as part of a task it was started from."""
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    return dict(kept, **{SERVER: "1"})


def request_cancel(folder: str, grace: Optional[float] = None) -> bool:
    """Ask for the end of a task; ``grace`` = seconds between the stop signal and SIGKILL (None: the task's own).

    False when it has ended already. Where it waits in or runs on a served root, that is told at once; make sure that
    somebody serves it. Raises FileNotFoundError when the folder is gone.
    """
    root, task = _queue_of(folder)
    try:
        wanted = control.request_cancel(folder, grace)
    except FileNotFoundError:
        if root and locate(root, task):  # it ended and moved meanwhile
            return False
        raise
    if wanted and root:
        ring(root, task)
    return wanted


def request_signal(folder: str, name: str) -> bool:
    """Send a signal (``INT``) to all processes of a task; False when it has ended. Raises ValueError."""
    root, task = _queue_of(folder)
    wanted = control.request_signal(folder, name)
    if wanted and root:
        ring(root, task)
    return wanted


def _queue_of(folder: str) -> "tuple[str, str]":
    above, task = os.path.split(os.path.abspath(folder))
    root, kind = os.path.split(above)
    return (root if kind == "tasks" else "", task)
