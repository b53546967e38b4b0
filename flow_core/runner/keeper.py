"""Keeping a rented machine: it runs the tasks that come, holds the end for whoever fetches it, and goes.

``ROOT/keep.json`` is the machine's own: ``delivery_wait`` seconds for a first task, ``ends_at`` (UTC seconds) when it
goes whatever it does. Tasks come as folders below ``ROOT/tasks``, by rename. A task's ``release`` says what follows
its end: ``{"end": deed, "pause": deed, "hold_seconds", "keep_seconds"}``, as ``release.py`` has it. A task whose end
was put into a store, or fetched (a file ``fetched`` in its folder), is followed by ``end`` after ``keep_seconds``; one
that nobody has is held ``hold_seconds``, then paused. Only the node of rank 0 acts for all.

A client takes a kept machine for its next task by making the file ``next`` in the ended one's folder, which holds the
new task's name. It can be made only once, and the keeper makes it itself before it gives the machine back.
"""

import os
import signal
import subprocess
import sys
import time
from typing import List, Optional

from . import control, release
from .launch import command
from .pending import is_given_up, is_pending
from .record import Doc, read_final, read_json, write_json

_TICK = 0.5
_SOON = 0.05  # seconds between two looks for a task: somebody waits for its first line
_LONGEST_PAUSE = 60.0  # seconds between two tries to give the machine back
_DELIVERY_WAIT, _LIFETIME = 900.0, 7 * 86400.0
_LINGER = 60.0  # seconds for a client that is there to take the logs of what was cancelled, or is only switched off
_GRACE = 60.0  # seconds for the last task to end in when the machine's time is over
NO_CLIENT = "no client came to deliver the task within %g s"


class Keeper:
    """One machine, from a boot to its end or to its next boot."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._began = time.monotonic()
        self._stopping = self.off = False  # off: the machine is to be switched off
        self._child: Optional["subprocess.Popen[bytes]"] = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def run(self) -> None:
        """Keep the machine until it is to be switched off, or goes away by itself."""
        while not self._stopping:
            folder = self._next()
            if folder is not None:
                self._serve(folder)
            elif self._is_over() or self._is_idle():
                self._switch_off({})
            else:
                self._sleep(_SOON)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)

    def _settings(self) -> Doc:
        return read_json(self._root + "/keep.json") or {}

    def _left(self) -> float:
        """Seconds until the machine must go."""
        return float(self._settings().get("ends_at") or time.time() + _LIFETIME) - time.time()

    def _is_over(self) -> bool:
        return self._left() <= 0

    def _is_idle(self) -> bool:
        wait = self._delivery_wait()
        if self._folders() or time.monotonic() < self._began + wait:
            return False
        write_json(self._root + "/end.json", {"reason": NO_CLIENT % wait, "at": time.time()})
        return True

    def _folders(self) -> List[str]:
        """The tasks of this machine, oldest first."""
        above = self._root + "/tasks"
        names = [name for name in _listed(above) if not name.startswith(".")]
        found = ["%s/%s" % (above, name) for name in names if os.path.exists("%s/%s/bundle.json" % (above, name))]
        return sorted(found, key=lambda path: os.stat(path).st_mtime)

    def _next(self) -> Optional[str]:
        """A task that has not ended; else the last that did, whose machine this still is."""
        folders = self._folders()
        live = [folder for folder in folders if read_final(folder) is None]
        return next(iter(live or folders[-1:]), None)

    def _serve(self, folder: str) -> None:
        while self._is_open(folder) and not self._stopping:
            self._run(folder)
        if not self._stopping:
            self._rest(folder)

    def _is_open(self, folder: str) -> bool:
        """Whether the task has not ended, or what it keeps is not in its store, and that was not given up."""
        return read_final(folder) is None or (is_pending(folder) and not is_given_up(folder))

    def _run(self, folder: str) -> None:
        """Run the task in a process of its own: what it breaks is not this one."""
        ended_at = 0.0
        self._child = subprocess.Popen(command("run", folder), cwd="/", stdin=subprocess.DEVNULL)
        while self._child.poll() is None:
            if self._is_over() and not ended_at:
                ended_at = time.time()
                control.request_cancel(folder)  # with its own grace
            if ended_at and time.time() > ended_at + _GRACE:
                release.act(self._root, self._release(folder).get("end"))
                self._stopping = True
                break
            self._sleep(_TICK)
        self._child = None
        if read_final(folder) is None:
            self._sleep(1.0)

    def _rest(self, folder: str) -> None:
        """After the end: wait for a next task, for a fetcher, then give the machine back."""
        plan, pause, over_at = self._release(folder), 1.0, os.stat(folder + "/final.json").st_mtime
        while not self._stopping and self._next() == folder:
            deed = self._due(folder, plan, over_at)
            answer = release.act(self._root, deed) if deed is not None and self._acts(folder, deed) else None
            if answer in (release.POWEROFF, release.REFUSED):
                self._switch_off(plan)
                return
            if answer == release.DONE and deed == plan.get("end"):
                release.forget(self._root, deed)
            self._sleep((_SOON if plan.get("keep_seconds") else _TICK) if answer is None else pause)
            pause = pause if answer is None else min(2 * pause, _LONGEST_PAUSE)

    def _due(self, folder: str, plan: Doc, over_at: float) -> Optional[Doc]:
        """What is to be done now with the machine of an ended task; None: nothing yet."""
        off: Doc = {"kind": "poweroff"}
        since = time.time() - over_at
        if self._is_over():
            return plan.get("end") or off
        stored = (read_json(folder + "/upload.json") or {}).get("state") == "kept"
        kept = stored or os.path.exists(folder + "/fetched")
        if kept:
            end = plan.get("end") or off
            wait = _LINGER if stored and end.get("kind") == "poweroff" else float(plan.get("keep_seconds") or 0.0)
            return end if since >= wait and self._closes(folder) else None
        if (read_final(folder) or {}).get("state") == "cancelled":
            return (plan.get("end") or off) if since >= _LINGER else None
        held = max(float(plan.get("hold_seconds") or 0.0), float(plan.get("keep_seconds") or 0.0))
        # Resumed after a pause, it is held again: somebody has come for what is on its disk.
        waited = min(since, time.monotonic() - self._began)
        return (plan.get("pause") or plan.get("end") or off) if waited >= held else None

    def _closes(self, folder: str) -> bool:
        """Whether no client has taken the machine for a next task, nor can from now on; one that did is waited for."""
        path = folder + "/next"
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write("-\n")
        except FileExistsError:
            with open(path) as file:
                taken = file.read() != "-\n"
            waited = min(time.time() - os.stat(path).st_mtime, time.monotonic() - self._began)
            return not taken or waited >= self._delivery_wait()
        except OSError:  # a client cannot make it either
            return True
        return True

    def _delivery_wait(self) -> float:
        return float(self._settings().get("delivery_wait") or _DELIVERY_WAIT)

    def _release(self, folder: str) -> Doc:
        return (read_json(folder + "/bundle.json") or {}).get("release") or {}

    def _acts(self, folder: str, deed: Doc) -> bool:
        if deed.get("kind") == "poweroff":
            return True
        bundle = read_json(folder + "/bundle.json") or {}
        return int((bundle.get("rank") or {}).get("here") or 0) == 0

    def _switch_off(self, plan: Doc) -> None:
        release.forget(self._root, plan.get("end"))
        self._stopping = self.off = True

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(min(0.1, seconds))


def keep(root: str) -> int:
    """Keep the machine whose folder is ``root``; 0 when it is to be switched off, 1 when it goes away by itself."""
    keeper = Keeper(os.path.abspath(root))
    keeper.run()
    sys.stderr.write("flow: the keeper ends: %s\n" % ("switch the machine off" if keeper.off else "it was stopped"))
    return 0 if keeper.off else 1


def _listed(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
