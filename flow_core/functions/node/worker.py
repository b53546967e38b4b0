"""A worker of a map: takes items from the task's inbox, and keeps what becomes of each in its outbox.

The inbox has files ``ATTEMPT.NUMBER``, each with envelopes of items; ``end`` asks to leave after the item at hand, and
``beat`` is touched as long as there is somebody to work for. The outbox is read as a log is.
"""

import os
import time
from contextlib import suppress
from typing import Callable, Iterator, List, Tuple

from . import call as calls, envelope
from .call import Call
from .envelope import Body, Header

_PAUSE, _LONGEST = 0.0005, 0.02  # seconds between two looks into the inbox
_LOOK = 0.05  # seconds between two looks whether to leave, within a batch
NOTHING = Body("json", False, [])
Item = Tuple[Header, List[memoryview]]


def work(folder: str, call: Call) -> int:
    """Work until there is nobody to work for; return the exit code."""
    attempt = os.environ["FLOW_ATTEMPT"]
    place = "%s/attempts/%s/%s" % (folder, attempt, os.environ["FLOW_NODE_RANK"])
    inbox = Inbox(folder + "/inbox", attempt, float(call.header["call"]["map"]))
    out = os.open(place + "/outbox", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    _say(out, {"kind": "ready", "attempt": int(attempt)}, NOTHING)
    for header, parts in inbox.items(lambda number: _say(out, {"kind": "took", "batch": number}, NOTHING)):
        began = time.perf_counter()
        kind, body = _outcome(call, header, parts)
        told = {"kind": kind, "item": header["item"], "digest": header["digest"]}
        _say(out, dict(told, seconds=time.perf_counter() - began), body)
    return 0


def _outcome(call: Call, header: Header, parts: List[memoryview]) -> Tuple[str, Body]:
    try:
        arguments = envelope.decode(header, parts)
    except Exception as error:  # whatever its pickle calls
        return "error", calls.describe(error, call.plain)
    return calls.run(call, arguments, call.keywords)[:2]


def _say(out: int, header: Header, body: Body) -> None:
    for piece in envelope.pieces(header, body):
        envelope.write_all(out, piece)


class Inbox:
    """Where items arrive; ``idle`` is how many seconds without a beat mean that nobody is left."""

    def __init__(self, folder: str, attempt: str, idle: float) -> None:
        self._folder, self._attempt, self._idle = folder, attempt, idle
        self._next = 0
        self._beat = 0.0
        self._heard = self._looked = time.monotonic()

    def items(self, took: Callable[[int], None]) -> Iterator[Item]:
        """Yield items as they come, until there is an end; ``took`` is told the number of each batch."""
        while True:
            data = self._batch()
            if data is None:
                return
            took(self._next - 1)
            view, at = memoryview(data), 0
            while at < len(view):
                if self._is_over():
                    return
                count = envelope.whole_size(view[at:])
                yield envelope.open_parts(view[at : at + count])
                at += count

    def _batch(self) -> "bytearray | None":
        """The next batch, waited for; None at the end."""
        pause = _PAUSE
        while not os.path.exists(self._folder + "/end"):
            try:
                with open("%s/%s.%d" % (self._folder, self._attempt, self._next), "rb") as file:
                    data = bytearray(file.read())
            except FileNotFoundError:
                if self._is_left():
                    return None
                time.sleep(pause)
                pause = min(pause * 1.2, _LONGEST)
                continue
            self._next += 1
            self._heard = self._looked = time.monotonic()
            return data
        return None

    def _is_over(self) -> bool:
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        return os.path.exists(self._folder + "/end")

    def _is_left(self) -> bool:
        """Whether nobody has been heard of for too long; looking into the folder also drops what a network has cached."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return False
        self._looked, beat = now, self._beat
        with suppress(OSError):
            os.listdir(self._folder)
            beat = os.stat(self._folder + "/beat").st_mtime
        if beat != self._beat:
            self._beat, self._heard = beat, now
        return now - self._heard > self._idle
