"""Wishes for a task that runs: small files that appear by rename and go when they are fulfilled."""

import math
import os
import time
from contextlib import suppress
from typing import List, Optional

from .bundle import signal_number
from .record import read_final, read_json, write_json


def request_cancel(folder: str, grace: Optional[float] = None) -> bool:
    """Ask for the end of a task, ``grace`` seconds between the stop signal and SIGKILL (None: the task's own).

    False when it has ended already. Asked again, the shorter grace counts. Ring its machine's bell, or it is seen
    within a second. Raises FileNotFoundError when the folder is gone.
    """
    if read_final(folder) is not None:
        return False
    asked = (read_json(folder + "/control/cancel") or {}).get("grace")
    if not isinstance(asked, (int, float)) or (grace is not None and grace < asked):
        _put(folder, "cancel", {"grace": grace, "at": time.time()})
    return True


def request_signal(folder: str, name: str) -> bool:
    """Ask for a signal (``INT``) to all processes of a task; False when it has ended. Raises ValueError."""
    signal_number(name)
    if read_final(folder) is not None:
        return False
    _put(folder, "signal-" + name.upper(), {"at": time.time()})
    return True


def _put(folder: str, name: str, doc: "dict[str, object]") -> None:
    with suppress(FileExistsError):
        os.mkdir(folder + "/control", 0o700)
    write_json("%s/control/%s" % (folder, name), doc)


def cancel_grace(folder: str, default: float) -> Optional[float]:
    """The grace in seconds with which the task is to be cancelled; None when it is not."""
    if not os.path.exists(folder + "/control/cancel"):
        return None
    grace = (read_json(folder + "/control/cancel") or {}).get("grace")
    given = isinstance(grace, (int, float)) and math.isfinite(grace)
    return max(0.0, float(grace)) if given else default  # type: ignore[arg-type]


def signals(folder: str) -> List[int]:
    """The signals that are asked for; each is told once."""
    try:
        names = [name for name in os.listdir(folder + "/control") if name.startswith("signal-")]
    except OSError:
        return []
    return [number for number in map(_take, [(folder, name) for name in sorted(names)]) if number]


def _take(wish: "tuple[str, str]") -> int:
    folder, name = wish
    try:
        os.unlink("%s/control/%s" % (folder, name))
        return signal_number(name[len("signal-") :])
    except (OSError, ValueError):
        return 0


def acknowledge(folder: str) -> None:
    """Remove the wish for an end: it was fulfilled, or came too late."""
    try:
        os.unlink(folder + "/control/cancel")
    except OSError:
        return
