"""Whether something of an ended task is still to be brought to its store; cheap to ask."""

import os

from .record import read_json
from .watcher import is_watched


def is_pending(folder: str) -> bool:
    """Whether something of an ended task is still to be brought to its store from here."""
    return os.path.exists(folder + "/tickets.json")


def is_given_up(folder: str) -> bool:
    """Whether the store was away for too long: it goes on when a client asks for it."""
    return (read_json(folder + "/upload.json") or {}).get("state") == "gave_up"


def is_under_way(folder: str) -> bool:
    """Whether a process of this machine is at it."""
    return is_watched(folder + "/upload.lock")
