"""Looking at the GPUs beside the loop: who else uses them, before one is handed out."""

import os
import time
from typing import Callable, List, Mapping, Optional

from . import gpus
from .loop import Loop
from .witness import Witness

_FRESH = 1.0  # seconds for which an answer holds
_AGAIN = 3.0  # seconds until a GPU that another program uses is looked at again


class Look:
    """Asks ``nvidia-smi`` without waiting for it; ``on_answer`` gets GPU -> who uses it."""

    def __init__(self, loop: Loop, witness: Witness, on_answer: Callable[[Mapping[str, str]], None]) -> None:
        self._loop, self._witness, self._on_answer = loop, witness, on_answer
        self._pid: Optional[int] = None
        self._read: List[bytes] = []
        self._pipe = -1
        self._answered = -_AGAIN  # monotonic
        self._timer = False

    @property
    def is_due(self) -> bool:
        """Whether the last answer is too old to hand out a GPU by it."""
        return time.monotonic() >= self._answered + _FRESH and gpus.is_there()

    def start(self) -> None:
        """Ask, unless that is under way; a machine that cannot be asked uses none of its GPUs for others."""
        if self._pid is not None:
            return
        self._pipe, end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        self._read = []
        try:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, end, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ]
            self._pid = os.posix_spawn(gpus.ARGV[0], gpus.ARGV, os.environ, file_actions=actions, setsid=True)
        except OSError:
            self._finish()
            return
        finally:
            os.close(end)
        pid = self._pid
        self._witness.other_children[pid] = lambda: None
        self._loop.watch(self._pipe, self._drain)
        self._loop.after(gpus.TIMEOUT, lambda: self._give_up(pid))

    def again(self) -> None:
        """Ask once more in a while: whoever uses a GPU tells nobody when he is done."""
        due = self._answered + _AGAIN
        if time.monotonic() >= due:
            self.start()
        elif not self._timer:
            self._timer = True
            self._loop.at(due, self._due)

    def _due(self) -> None:
        self._timer = False
        self.start()

    def _drain(self) -> None:
        data = os.read(self._pipe, 1 << 16)
        if data:
            self._read.append(data)
            return
        self._loop.forget(self._pipe)
        self._finish()

    def _give_up(self, pid: int) -> None:
        if self._pid == pid:
            self._loop.forget(self._pipe)
            try:
                os.killpg(pid, 9)
            except OSError:
                pass  # it has just ended
            self._read = []
            self._finish()

    def _finish(self) -> None:
        os.close(self._pipe)
        self._pid = None
        self._answered = time.monotonic()
        found = gpus.parse(b"".join(self._read))
        self._on_answer({device.id: device.user for device in found if device.user})
