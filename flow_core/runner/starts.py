"""The starts of one task by a platform that starts it again by itself, as after a preemption.

Such a platform names each start in ``FLOW_RUNNER_RUN``, the same for all ranks. What another start left without an end
was ended with it: a new attempt begins, instead of a search for processes that are gone.
"""

import errno
import os
import shutil
from typing import List

from . import watcher
from .rank import Rank
from .record import attempts, create_json, read_json

TAKEN_BACK = "the platform took the machine back"
_KILLED = 137


def note(folder: str, attempt: int) -> None:
    """Note which start begins an attempt; the first word counts."""
    run = os.environ.get("FLOW_RUNNER_RUN")
    if run:
        # With its note or not at all: another rank takes an attempt that has none for one of an earlier start.
        if not os.path.isdir(os.path.dirname(_path(folder, attempt))):
            _make(folder, attempt, run)
        create_json(_path(folder, attempt), {"run": run})


def _make(folder: str, attempt: int, run: str) -> None:
    new = "%s/attempts/.%d.%s" % (folder, attempt, os.urandom(4).hex())
    os.makedirs(new, 0o700)
    try:
        create_json(new + "/run.json", {"run": run})
        os.rename(new, os.path.dirname(_path(folder, attempt)))
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # not that another rank was first
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def is_of_this(folder: str, attempt: int) -> bool:
    """Whether an attempt was begun in this start; never where the platform does not name its starts."""
    run = os.environ.get("FLOW_RUNNER_RUN")
    return bool(run) and (read_json(_path(folder, attempt)) or {}).get("run") == run


def close_earlier(folder: str, ranks: List[int]) -> None:
    """End what an earlier start left without an end, of these ranks in the last attempt."""
    numbers = attempts(folder)
    if not os.environ.get("FLOW_RUNNER_RUN") or not numbers or is_of_this(folder, numbers[-1]):
        return
    for rank in (Rank(folder, numbers[-1], number) for number in ranks):
        if not rank.record().ended and not watcher.is_watched(rank.path):
            os.makedirs(rank.folder, 0o700, exist_ok=True)
            rank.append("r preempted %s\nx %d" % (TAKEN_BACK, _KILLED))


def _path(folder: str, attempt: int) -> str:
    return "%s/attempts/%d/run.json" % (folder, attempt)
