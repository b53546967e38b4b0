"""Several processes of one node: the same command, each with its own RANK and LOCAL_RANK.

They share the node's two logs (appended, so no line is overwritten), and the node's exit code is that of the first of
them that fails; the others are then stopped.
"""

import os
import signal
import time
from typing import List, Set

from .environment import process_ranks

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)


def spread(argv: List[str]) -> int:
    """``COUNT GRACE COMMAND...``: run the processes of this node; the exit code of the first that fails, else 0.

    A signal that stops the whole tree reaches the processes by itself: this one waits for them.
    """
    count, grace, command = int(argv[0]), float(argv[1]), argv[2:]
    for number in _STOPPING:
        signal.signal(number, lambda *_: None)
    live: Set[int] = set()
    code = 0
    for local in range(count):
        try:
            live.add(_start(command, local, count))
        except OSError as error:
            os.write(2, b"flow: %s: %s\n" % (os.fsencode(command[0]), os.fsencode(error.strerror or "")))
            code = 127 if isinstance(error, FileNotFoundError) else 126
            break
    code = code or _first_failure(live)
    if live and code:
        _stop(live, grace)
    return code


def _start(command: List[str], local: int, count: int) -> int:
    rank, nodes = int(os.environ["FLOW_NODE_RANK"]), int(os.environ["FLOW_NUM_NODES"])
    env = dict(os.environ, **process_ranks(rank, nodes, count, local))
    return os.posix_spawnp(command[0], command, env, setsigmask=[], setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])


def _first_failure(live: Set[int]) -> int:
    while live:
        pid, status = os.waitpid(-1, 0)
        if pid not in live:
            continue
        live.discard(pid)
        if status:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return 0


def _stop(live: Set[int], grace: float) -> None:
    deadline = time.monotonic() + grace
    for number, how in ((signal.SIGTERM, os.WNOHANG), (signal.SIGKILL, 0)):
        for pid in live:
            os.kill(pid, number)
        while live and (not how or time.monotonic() < deadline):
            pid = os.waitpid(-1, how)[0]
            live.discard(pid)
            if not pid:
                time.sleep(0.01)
