"""Starting a rank: a shell that waits for the command and writes its end into a locked file.

Why each part of the line is there: the trap, so that a signal to the process group of the command does not take
its watcher too (traps do not reach the command); the subshell, because dash applies the redirections of a simple
command in the parent and would print ``Killed`` into the task's stderr; in the foreground, because a job in the
background has SIGINT ignored; descriptors that are open before anything runs, and appending, because then no
path is resolved later, and the block that the first line took has room for the last when the disk is full.
"""

import errno
import fcntl
import os
import signal
import time
from typing import Dict, List, NamedTuple, Optional

from . import process
from .record import read_exit

_SHELL = os.environ.get("FLOW_RUNNER_SH", "/bin/sh")
_LINE = (
    "echo w $$ >&9 || exit 125; trap : HUP INT QUIT TERM USR1 USR2; "
    '(exec "$@" 2>&8 8>&- 9>&-); c=$?; echo x $c >&9; exit $c'
)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_SIGNALS = [n for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP)]

# The node lacks something now that it may have in a second.
PASSING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE))


class Started(NamedTuple):
    """A watcher that was started by this process; ``monotonic`` is when."""

    pid: int
    monotonic: float


def shell() -> List[str]:
    """The argv of the shell that watches; ``FLOW_RUNNER_SH`` names another one ("busybox sh")."""
    return _SHELL.split()


def start(folder: str, argv: List[str], env: Dict[str, str], cwd: str) -> Optional[Started]:
    """Start a rank whose files are in ``folder``; None when it was started before.

    Raises OSError; then nothing has run.
    """
    file = os.open(folder + "/exit", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_size and _was_started(folder):
            return None
        now = time.monotonic()
        began = "b %s %.6f %.6f %s\n" % (process.boot_id(), time.time(), now, process.host())
        os.write(file, began.encode())
        return Started(_spawn(folder, file, argv, env, cwd), now)
    except BlockingIOError:
        return None
    finally:
        os.close(file)


def _was_started(folder: str) -> bool:
    found = read_exit(folder + "/exit")
    return found.watcher is not None or found.ended


def _spawn(folder: str, file: int, argv: List[str], env: Dict[str, str], cwd: str) -> int:
    shell_argv = shell()
    name = "sh" if len(shell_argv) == 1 else os.path.basename(shell_argv[0])
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, folder + "/stdout", _APPEND, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 8, folder + "/stderr", _APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, file, 9),
    ]
    os.chdir(cwd)
    try:
        return os.posix_spawn(
            shell_argv[0],
            [name, *shell_argv[1:], "-c", _LINE, "sh", *argv],
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=_SIGNALS,
        )
    finally:
        os.chdir("/")


def reserve_descriptors() -> None:
    """Keep 0 to 9 taken, so that the descriptors a watcher gets never collide with ours. Once per process."""
    while True:
        fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if fd > 9:
            os.close(fd)
            return


def is_watched(path: str) -> bool:
    """Whether a watcher lives that holds the lock of the exit record at ``path``."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two that look at once must not take each other for a watcher.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(file)
