"""Serving one machine's queue: all tasks under a root, until nothing runs or waits for two seconds."""

import fcntl
import functools
import gc
import os
import socket
import time
from contextlib import suppress
from typing import Dict, Iterator, List, Mapping, Optional, Set

from . import bundle as bundles, control, outcome
from .board import Board, Entry
from .bundle import Bundle, BundleError
from .claims import Claim, claim, told
from .events import Events
from .guardian import Guardian
from .held import Held
from .launch import command
from .line import Line, Waiting
from .look import Look
from .node import Node
from .pending import is_pending
from .queue import bell_address
from .rank import Rank
from .record import Doc, attempts, done_dir, read_final, read_json, write_json
from .slots import Slots
from .task import Task, finish
from .uploads import Uploads

_LINGER = float(os.environ.get("FLOW_RUNNER_LINGER", "2"))  # seconds
_TICK = 1.0
_GRAIN = 100_000_000  # nanoseconds: file systems date changes by the kernel's tick, some by more
_KEPT_BUNDLES = 1000  # of waiting tasks; more are read again when their turn comes
_FIRST_TICK = 0.2  # a server that lives shorter needs no guardian


class Server:
    """The queue of one root; the caller holds its lock."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._tasks = root + "/tasks"
        self._folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._node = Node(self._say)
        self._guardian = Guardian(self._node.witness, command("serve", root, "again"))
        self._events = Events(root)
        self._slots = Slots(root)
        self._running: Dict[str, Task] = {}
        self._line = Line()
        self._known: Dict[str, Optional[Waiting]] = {}
        self._bundles: Dict[str, Bundle] = {}
        self._held = Held(root)
        self._board = Board(root, self._node.loop, self._entries)
        self._look = Look(self._node.loop, self._node.witness, self._see_gpus)
        self._uploads = Uploads(root, self._node.loop, self._node.witness)
        self._scanned = -1
        self._scanning = False
        self._made: Set[str] = set()
        self._open_bell()

    def _open_bell(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._root + "/bell")
        self._bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._bell.bind(bell_address(self._root, self._folder))
        self._bell.setblocking(False)
        self._node.loop.watch(self._bell.fileno(), self._answer)

    def run(self) -> None:
        """Serve until there is nothing left to do."""
        self._node.loop.after(_FIRST_TICK, self._tick)
        self._scan()
        self._uploads.start()
        idle_since = time.monotonic()
        while True:
            self._fill()
            self._events.flush()
            if self._known or self._uploads.busy:
                self._node.loop.turn()
                idle_since = time.monotonic()
            elif time.monotonic() < idle_since + _LINGER:
                self._node.loop.turn(idle_since + _LINGER)
            elif self._leave():
                return

    def _leave(self) -> bool:
        """Stop listening, then look once more: a ring that was heard came before this look."""
        self._node.loop.forget(self._bell.fileno())
        os.unlink(self._root + "/bell")
        self._bell.close()
        self._scan()
        if self._known or self._uploads.busy:
            self._open_bell()
            return False
        self._board.clear()
        self._guardian.dismiss()
        self._events.flush()
        return True

    def _tick(self) -> None:
        """What nothing wakes us for: hand-made control files, rings that were lost, a guardian that was killed."""
        self._node.loop.after(_TICK, self._tick)
        if os.fstat(self._folder).st_nlink == 0:
            # Somebody removed the whole root: there is nothing left to serve, and nowhere to write.
            self._guardian.dismiss()
            os._exit(1)
        if self._uploads.busy:
            self._guardian.ensure()
        if not self._known:
            return
        self._guardian.ensure()
        for task in list(self._running.values()):
            task.look()
        self._look_at_held()
        self._scan_if_changed()

    def _answer(self) -> None:
        while True:
            try:
                heard = self._bell.recv(65536).decode("utf-8", "replace").split()
            except BlockingIOError:
                return
            for task in heard:
                self._look_at(task)
            if not heard:
                self._scan_if_changed()

    def _scan_if_changed(self) -> None:
        if os.stat(self._tasks).st_mtime_ns != self._scanned:
            self._scan()

    def _scan(self) -> None:
        found = os.stat(self._tasks).st_mtime_ns
        # A change right after this look may have the same time.
        self._scanned = found if abs(time.time_ns() - found) > _GRAIN else -1
        self._scanning = True  # first all, then the first in line
        for name in os.listdir(self._tasks):
            if name not in self._known and not name.startswith("."):
                self._admit(name)
        self._scanning = False

    def _look_at(self, name: str) -> None:
        if name in self._running:
            self._running[name].look()
        elif name in self._held:
            self._hold(name, self._held.remove(name))
        elif name in self._known:
            self._cancel_waiting(name)
        elif os.sep not in name and not name.startswith("."):
            self._admit(name)

    def _admit(self, name: str) -> None:
        """Take in a task's folder; one of that name that has ended already is not run again."""
        folder = "%s/%s" % (self._tasks, name)
        if not os.path.isdir(folder):
            return
        if os.path.isdir(done_dir(self._root, name)):
            os.rename(folder, "%s/.%s.new" % (self._tasks, name))
            return
        final = read_final(folder)
        if final is not None:
            self._retire(name, final)
            return
        try:
            bundle = bundles.read(folder)
        except BundleError as error:
            self._end(name, None, "failed", str(error))
            return
        self._slots.refresh()
        if attempts(folder):
            self._start(name, bundle, claim(bundle), self._granted(folder))
        else:
            self._hold(name, bundle)

    def _granted(self, folder: str) -> Optional[List[str]]:
        found = read_json(folder + "/grant.json")
        return found["gpus"] if found is not None else None if self._slots.gpus is None else []

    def _hold(self, name: str, bundle: Bundle) -> None:
        """Queue a task when those it depends on have ended as it wants."""
        found = self._held.verdict(bundle)
        if self._is_cancelled(name):
            self._end(name, bundle, "cancelled", "cancelled before it started")
        elif found is None:
            self._known[name] = None
            self._held.add(name, bundle)
            self._board.change(waiting=True)
        elif found[0]:
            self._queue(name, bundle)
        else:
            self._end(name, bundle, "failed", found[1])

    def _look_at_held(self) -> None:
        for name in self._held.some():
            if self._is_cancelled(name) or self._held.verdict(self._held.bundle(name)) is not None:
                self._hold(name, self._held.remove(name))

    def _queue(self, name: str, bundle: Bundle) -> None:
        wanted = claim(bundle)
        why = self._slots.impossible(wanted)
        if why:
            self._end(name, bundle, "failed", why)
            return
        waiting = self._line.add(-bundle.priority, bundle.created_at, name, bundle.task_id, wanted)
        self._known[name] = waiting
        if len(self._bundles) < _KEPT_BUNDLES:
            self._bundles[name] = bundle
        self._cancel_waiting(name)
        if len(self._line) == 1 and not self._scanning:
            self._fill()
        if len(self._line):
            self._board.change(waiting=True)

    def _cancel_waiting(self, name: str) -> bool:
        waiting = self._known.get(name)
        if waiting is None or not self._is_cancelled(name):
            return False
        self._line.remove(waiting)
        self._board.change(waiting=len(self._line) > 0)
        self._end(name, self._bundle(name), "cancelled", "cancelled before it started")
        return True

    def _is_cancelled(self, name: str) -> bool:
        return control.cancel_grace("%s/%s" % (self._tasks, name), 0.0) is not None

    def _bundle(self, name: str) -> Optional[Bundle]:
        kept = self._bundles.pop(name, None)
        if kept is not None:
            return kept
        try:
            return bundles.read("%s/%s" % (self._tasks, name))
        except BundleError:
            return None

    def _fill(self) -> None:
        """Start what there is room for."""
        while len(self._line):
            chosen = self._line.next(self._slots)
            if chosen is None:
                if self._slots.others and any(head.wanted.gpus for head in self._line.heads()):
                    self._look.again()
                return
            if chosen.wanted.gpus and self._slots.gpus and self._look.is_due:
                self._look.start()
                return
            if not self._cancel_waiting(chosen.task):
                gpus = None if self._slots.gpus is None else self._line.gpus_for(chosen, self._slots)
                self._line.remove(chosen)
                self._board.change(waiting=len(self._line) > 0)
                self._launch(chosen.task, self._bundle(chosen.task), chosen.wanted, gpus)

    def _see_gpus(self, others: Mapping[str, str]) -> None:
        """Take in who else uses which GPU."""
        if others != self._slots.others:
            self._board.change(waiting=len(self._line) > 0)
        self._slots.others = others

    def _launch(self, name: str, bundle: Optional[Bundle], wanted: Claim, gpus: Optional[List[str]]) -> None:
        if bundle is None:
            self._end(name, None, "failed", "bundle.json can no longer be read: submit the task again")
            return
        if gpus:
            write_json("%s/%s/grant.json" % (self._tasks, name), {"gpus": gpus})
        self._start(name, bundle, wanted, gpus)

    def _start(self, name: str, bundle: Bundle, wanted: Claim, gpus: Optional[List[str]]) -> None:
        self._slots.take(name, bundle.task_id, wanted, gpus)
        folder = "%s/%s" % (self._tasks, name)
        task = Task(self._node, folder, bundle, range(bundle.num_instances), gpus, self._on_final)
        self._running[name] = task
        self._known[name] = None
        task.resume()

    def _on_final(self, task: Task, doc: Doc) -> None:
        self._running.pop(task.name, None)
        self._slots.give_back(task.name)
        self._retire(task.name, doc)

    def _end(self, name: str, bundle: Optional[Bundle], state: str, reason: str) -> None:
        """End a task that never started."""
        folder = "%s/%s" % (self._tasks, name)
        plan = outcome.plan(read_json(folder + "/bundle.json"), folder)
        doc = dict(outcome.task(plan, []), state=state, reason=reason)
        self._known[name] = None
        try:
            finish(folder, doc, bundle)
        except OSError:
            self._node.loop.after(_TICK, lambda: self._end(name, bundle, state, reason))
            return
        self._retire(name, doc)

    def _retire(self, name: str, doc: Doc) -> None:
        """Move a task that has ended out of the way."""
        self._known[name] = None
        try:
            keeps = is_pending("%s/%s" % (self._tasks, name))
            if keeps:
                self._uploads.note(name)
            self._move(name)
        except OSError:  # no room for a folder
            self._node.loop.after(_TICK, lambda: self._retire(name, doc))
            return
        if keeps:
            self._uploads.start()
        self._known.pop(name, None)
        for held in self._held.of(name):
            self._node.loop.after(0.0, functools.partial(self._look_at, held))
        self._board.change(waiting=len(self._line) + len(self._held) > 0)
        last = doc["attempts"][-1]["number"] if doc.get("attempts") else 0
        self._events.add(name, last, "-", doc["state"])

    def _move(self, name: str) -> None:
        target = done_dir(self._root, name)
        above = os.path.dirname(target)
        if above not in self._made:
            for folder in (os.path.dirname(above), above):
                os.makedirs(folder, 0o700, exist_ok=True)
            self._made.add(above)
        os.rename("%s/%s" % (self._tasks, name), target)

    def _entries(self) -> Iterator[Entry]:
        """What waits, in order, and then what waits for other tasks."""
        for waiting, place, why in self._line.reasons(self._slots):
            if why:
                yield Entry(waiting.task, waiting.task_id, place, -waiting.precedence, told(waiting.wanted), why)
        for name, bundle in self._held.items():
            why = self._held.reason(bundle)
            yield Entry(name, bundle.task_id, 0, bundle.priority, told(claim(bundle)), why)

    def _say(self, task: Task, rank: Optional[Rank], what: str) -> None:
        self._events.add(task.name, task.attempt, "-" if rank is None else str(rank.number), what)


def serve(root: str, how: str = "") -> int:
    """Serve a root; ``how`` is a descriptor that holds its lock, or "again" from a guardian. 0 in good order."""
    lock = int(how) if how.isdigit() else None
    _detach(lock)
    if how == "again":
        time.sleep(_FIRST_TICK)  # whatever ended the last one must not make this a busy loop
    if lock is None:
        lock = os.open(root + "/serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
    os.set_inheritable(lock, False)
    server = Server(root)
    # What lives now lives on; cycles are rare, and a look for them at each task would cost as much as the task.
    gc.freeze()
    gc.set_threshold(20_000)
    server.run()
    return 0


def _detach(lock: Optional[int]) -> None:
    """Let go of what was inherited: session, folder, descriptors."""
    with suppress(PermissionError):  # it may lead one already
        os.setsid()
    os.chdir("/")
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2 and fd != lock:
            try:
                os.close(fd)
            except OSError:
                continue
