"""One task: its attempts one after the other, its ranks side by side, its end."""

import os
import shutil
import time
from typing import Callable, Dict, List, Optional, Sequence

from . import cgroup, containers, control, outcome, places, process, starts
from .beside import start_dir
from .bundle import Bundle, BundleError
from .environment import environment, remove_secrets, take_tickets
from .health import Checks, mark
from .launch import command
from .loop import Timer
from .node import Node
from .rank import Rank
from .record import Doc, Exit, attempt_dir, attempts, create_json, read_exit, read_json
from .service import Service
from .watcher import PASSING

_AGAIN = 1.0  # seconds until something that failed for want of room is tried again
_KEPT_ATTEMPTS = 100
_RECENT = 2.0  # seconds before the platform's word in which a failure was its doing
_NOTE_BYTES = 4096  # what a platform keeps of an exit note


class Task:
    """A task of which some ranks (``numbers``) run here; ``on_final`` is called once, with the final report."""

    def __init__(
        self,
        node: Node,
        folder: str,
        bundle: Bundle,
        numbers: Sequence[int],
        gpus: Optional[List[str]],
        on_final: Callable[["Task", Doc], None],
    ) -> None:
        self.folder, self.bundle = folder, bundle
        self.name = os.path.basename(folder)
        self.attempt = 0
        self.ranks: Dict[int, Rank] = {}
        self.past: List[Doc] = []
        self.final: Optional[Doc] = None
        self.leaving = ""  # why the machine goes away: no further attempt begins here
        self.is_doubtful: Callable[[Rank], bool] = lambda rank: False  # whether more may be heard of why it ended
        self._node, self._numbers, self._gpus, self._on_final = node, numbers, gpus, on_final
        self._plan = outcome.Plan(
            bundle.task_id,
            bundle.request_id,
            bundle.num_instances,
            bundle.retry.retries,
            bundle.restart,
            bundle.max_preemptions,
        )
        self._resting_until = 0.0
        self._is_warned = False  # an attempt was told that the machine will be taken back, and that still stands
        self._beginning = False
        self._limits: Dict[Rank, Timer] = {}
        self._checks: Dict[Rank, Checks] = {}

    def resume(self) -> None:
        """Begin the first attempt, or go on where another process stopped."""
        numbers = attempts(self.folder) or [self.bundle.first_attempt]
        for number in numbers[:-1]:
            exits = outcome.read_attempt(self.folder, number, self._plan.ranks)
            self.past.append(outcome.attempt(number, exits, self._plan.ranks))
        self._begin(numbers[-1])

    def _begin(self, number: int) -> None:
        if self.final is not None:
            return
        starts.note(self.folder, number)
        self.attempt = number
        self.ranks = {rank: Rank(self.folder, number, rank) for rank in self._numbers}
        for rank in self.ranks.values():
            rank.returns = outcome.machine_returns(self.bundle.preempt)
        if containers.outlives(self.bundle.image):
            for rank in self.ranks.values():
                rank.removal = containers.removal(self.bundle, number, rank.number)
        # First all, then what follows from it: one that runs must not be taken for one that never started.
        self._beginning = True
        for rank in self.ranks.values():
            self._start(rank, new=_make(rank.folder))
        self._beginning = False
        if any(rank.end is not None for rank in self.ranks.values()):
            self.look()

    def _start(self, rank: Rank, new: bool = False) -> None:
        """Start a rank, or take it over where it was started before."""
        if rank.end is not None or self.final is not None:
            return
        self._node.owners[rank] = self
        if not new and self._is_limited:
            rank.group = cgroup.find(rank.folder)
        if not new and self._node.witness.adopt(rank):
            self._attend(rank)
            return
        try:
            self._spawn(rank)
        except BundleError as error:
            self._node.witness.refuse(rank, "failed", str(error))
        except OSError as error:
            if error.errno in PASSING:
                self._node.loop.after(_AGAIN, lambda: self._start(rank))
            else:
                self._node.witness.refuse(rank, "failed", "the command cannot be started: %s" % error.strerror)

    def _spawn(self, rank: Rank) -> None:
        place = places.place(self.folder, self.bundle, self.attempt, self._numbers, self._gpus)
        if place is None:  # the process that runs rank 0 has not said it yet
            self._node.loop.after(0.05, lambda: self._start(rank))
            return
        env = environment(self.folder, self.bundle, self.attempt, rank.number, place)
        env.update(places.port_variables(self.folder, self.bundle, self.attempt, rank.number))
        cwd = start_dir(self.folder, self.bundle)
        if self.bundle.health is not None:
            mark(rank, False)
        if containers.limits_memory(self.bundle):
            rank.contained = self.bundle.limits.memory or 0, process.memory_kills()
        if self._node.witness.start(rank, self._argv(rank), env, cwd):
            self._node.say(self, rank, "started")
            self._attend(rank)
        else:
            self._node.loop.after(0.05, lambda: self._start(rank))

    @property
    def _is_limited(self) -> bool:
        return self.bundle.limits.memory is not None or self.bundle.limits.cpus is not None

    def _inside(self, rank: Rank, argv: List[str]) -> List[str]:
        if self._is_limited:
            rank.group = cgroup.make(rank.folder, self.bundle.limits.memory, self.bundle.limits.cpus)
        return rank.group.inside(argv) if rank.group is not None else argv

    def _argv(self, rank: Rank) -> List[str]:
        argv = self.bundle.argv
        if self.bundle.image is not None:
            argv = command("contain", self.folder, "--", *argv)
        if self.bundle.processes_per_node > 1:
            grace = "%g" % self.bundle.limits.grace
            argv = command("spread", str(self.bundle.processes_per_node), grace, *argv)
        argv = self._inside(rank, argv)
        if self.bundle.mounts and self.bundle.image is None:  # first: what serves its mounts is not of its group
            argv = command("enter", self.folder, rank.path, "--", *argv)
        return argv

    def _attend(self, rank: Rank) -> None:
        """Look after a rank that runs: its time, and its health."""
        self._limit(rank)
        health = self.bundle.health
        if health is not None and rank.end is None:
            self._checks[rank] = Checks(
                self._node.loop,
                rank,
                health,
                Service(self._node, rank, self.bundle, self._numbers, self._gpus).look(health),
                lambda: self._node.say(self, rank, "ready"),
                lambda why: self._stop(rank, "failed", why),
            )

    def _unattend(self, rank: Rank) -> None:
        self._unlimit(rank)
        checks = self._checks.pop(rank, None)
        if checks is not None:
            checks.stop()

    def _limit(self, rank: Rank) -> None:
        limit = self.bundle.limits.time_limit
        if limit is not None and rank.end is None:
            reason = "time limit of %g s reached" % limit
            self._limits[rank] = self._node.loop.at(rank.since + limit, lambda: self._stop(rank, "timed_out", reason))

    def _unlimit(self, rank: Rank) -> None:
        timer = self._limits.pop(rank, None)
        if timer is not None:
            timer.cancel()

    def _stop(self, rank: Rank, state: str, reason: str, grace: Optional[float] = None, number: int = 0) -> None:
        limits = self.bundle.limits
        if rank.live:
            wait = limits.grace if grace is None else grace
            self._node.ending.stop(rank, state, reason, number or limits.stop_signal, wait)
        elif rank.end is None and not rank.starting:
            self._node.witness.refuse(rank, state, reason)

    def stop(self, state: str, reason: str, grace: Optional[float] = None, number: int = 0) -> None:
        """End what runs here, as ``state`` and for ``reason``, and start nothing more.

        ``number`` is the signal to ask with, 0 = the task's own; ``grace`` None = the task's own, in seconds.
        """
        if self._resting_until:
            self._finish(dict(self._report(retry=False), state=state, reason=reason))
            return
        for rank in list(self.ranks.values()):
            self._stop(rank, state, reason, grace, number)

    def take_back(self, reason: str) -> None:
        """Have the attempt end as preempted, for ``reason``."""
        self.leaving = reason
        for rank in list(self.ranks.values()):
            self._stop(rank, "preempted", reason, number=self.bundle.limits.preempt_signal)
            self._blame_the_platform(rank)

    def _blame_the_platform(self, rank: Rank) -> None:
        """A rank may have been seen to fail before its runner was told why."""
        end = rank.end
        if end is not None and end.code and end.verdict is None and time.time() - (end.ended_at or 0.0) < _RECENT:
            rank.append("p %s\ne %.6f" % (self.leaving, end.ended_at or time.time()))
            rank.end = rank.record()

    def warn(self, notice: bool) -> None:
        """The platform will take the machine back: tell the command. Without ``notice``: it will not, after all."""
        self._is_warned = notice and (self._is_warned or any(rank.live for rank in self.ranks.values()))
        for rank in self.ranks.values():
            if rank.live and rank.noticed != notice:
                rank.noticed = notice
                rank.append("n %.6f" % (time.time() if notice else 0.0))
                if notice:
                    self._node.ending.send(rank, self.bundle.limits.preempt_signal)

    def stop_before_start(self) -> None:
        """End a task that was cancelled before any attempt began."""
        self._finish(dict(self._report(retry=False), state="cancelled", reason="cancelled before it started"))

    def never_ran(self, rank: Rank) -> None:
        """A watcher ended before it started anything."""
        self._unattend(rank)
        rank.watcher = 0
        self._node.loop.after(_AGAIN, lambda: self._start(rank))

    def ended(self, rank: Rank) -> None:
        """A rank has ended: the others are stopped if it failed."""
        self._unattend(rank)
        if self.leaving:
            self._blame_the_platform(rank)
        self._node.say(self, rank, "ended")
        if not self._beginning and not self.is_doubtful(rank):
            self._stop_others()

    def over(self) -> None:
        """Nothing of one more rank is left: the attempt may be at its end."""
        if not self._beginning:
            self._go_on()

    def look(self) -> None:
        """See what the control files and the ranks that run elsewhere ask for."""
        if not self._beginning:
            self._obey()
            self._go_on()

    def _go_on(self) -> None:
        if any(rank.end is not None and self.is_doubtful(rank) for rank in self.ranks.values()):
            return
        self._stop_others()
        if self.final is None and self.ranks and all(rank.over for rank in self.ranks.values()):
            self._close()

    def _obey(self) -> None:
        if self.final is not None:
            return
        for number in control.signals(self.folder):
            for rank in self.ranks.values():
                self._node.ending.send(rank, number)
        grace = control.cancel_grace(self.folder, self.bundle.limits.grace)
        if grace is not None:
            self.stop("cancelled", "cancelled by request", grace)

    def _stop_others(self) -> None:
        if self._plan.ranks == 1 or not any(rank.end is None for rank in self.ranks.values()):
            return
        bad = self._failure()
        if bad is not None:
            for rank in self.ranks.values():
                self._stop(rank, "stopped", "rank %d %s; stopped" % (bad["rank"], _ending(bad)))

    def _failure(self) -> Optional[Doc]:
        """The rank, here or elsewhere, whose failure ends this attempt."""
        here = {number: rank.end for number, rank in self.ranks.items() if rank.end is not None}
        bad = outcome.first_failure(here)
        if len(self._numbers) == self._plan.ranks:
            return bad
        path = "%s/attempts/%d/failed.json" % (self.folder, self.attempt)
        if bad is not None and not os.path.exists(path):
            self._tell(path, bad)
        # One file to look at, not one per rank: a thousand of us may share this folder over a network.
        return bad or read_json(path)

    def _tell(self, path: str, bad: Doc) -> None:
        try:
            create_json(path, bad)
        except OSError:  # no room: they see it when they look at the records
            return

    def _close(self) -> None:
        """Everything of ours is over: repeat the attempt, or end the task, once all ranks everywhere have ended."""
        self._failure()
        exits: Dict[int, Exit] = {}
        for number in range(self._plan.ranks):
            exits[number] = self._exit(number)
            if not exits[number].ended:
                return
        done = outcome.attempt(self.attempt, exits, self._plan.ranks)
        self.past.append(done)
        self.ranks = {}
        if done["state"] == "preempted" and starts.is_of_this(self.folder, self.attempt):
            self.leaving = self.leaving or str(done["reason"])  # who starts us starts all ranks again
        if not outcome.tries_again(self.past, self._plan):
            self._finish(self._report(retry=False))
        elif not self.leaving:
            self._rest(done)

    def _exit(self, number: int) -> Exit:
        rank = self.ranks.get(number)
        if rank is not None:
            return rank.end or Exit(watcher=rank.watcher or None)
        return read_exit(attempt_dir(self.folder, self.attempt, number) + "/exit")

    def _rest(self, done: Doc) -> None:
        self._forget()
        now, pause = time.time(), self._pause()
        self._resting_until = min(done["ended_at"] or now, now) + pause  # a clock that is set back delays nothing
        self._node.say(self, None, "pending")
        self._node.loop.after(self._resting_until - time.time(), self._wake)
        self._obey()

    def _forget(self) -> None:
        """Keep the newest attempts only of a service that is started again and again: the disk has an end."""
        if self.bundle.restart != "no":
            for doc in self.past[:-_KEPT_ATTEMPTS]:
                shutil.rmtree("%s/attempts/%d" % (self.folder, doc["number"]), ignore_errors=True)
            del self.past[:-_KEPT_ATTEMPTS]

    def _pause(self) -> float:
        """Seconds until the next attempt: longer each time, but for a service that was well for long."""
        retry = self.bundle.retry
        if outcome.restarts(self.past, self.bundle.restart):
            return retry.pause(max(1, outcome.short_lived(self.past, retry.max_delay)))
        failed = sum(doc["state"] == "failed" for doc in self.past)
        return retry.pause(failed) if failed else 0.0

    def _wake(self) -> None:
        if self.final is not None:
            return
        if self._is_warned:  # an attempt here would be preempted too, by the same notice
            self._node.loop.after(_AGAIN, self._wake)
        else:
            self._resting_until = 0.0
            self._begin(self.attempt + 1)

    def _report(self, retry: bool) -> Doc:
        return outcome.task(self._plan, self.past, retry)

    def _finish(self, doc: Doc) -> None:
        if self.final is None:
            self.final = doc
            self._write_final()

    def _write_final(self) -> None:
        assert self.final is not None
        try:
            finish(self.folder, self.final, self.bundle)
        except OSError:
            self._node.loop.after(_AGAIN, self._write_final)
            return
        self._on_final(self, self.final)


def _make(folder: str) -> bool:
    """Make a rank's folder; whether it was not there before."""
    attempt = os.path.dirname(folder)
    for path in (os.path.dirname(attempt), attempt, folder):
        try:
            os.mkdir(path, 0o700)
            new = True
        except FileExistsError:
            new = False
    return new


def _ending(node: Doc) -> str:
    return "failed with %s" % node["reason"] if node["state"] == "failed" else "ended: %s" % node["reason"]


def finish(folder: str, doc: Doc, bundle: Optional[Bundle]) -> None:
    """End a task with this report unless it has one, after removing its secrets. Raises OSError (no room)."""
    # In this order: whoever sees the report finds all of it done, also when this process is killed in between.
    if bundle is not None and bundle.keep:
        take_tickets(folder, bundle)
    remove_secrets(folder, bundle)
    if bundle is not None and bundle.exit_note:
        _note(bundle.exit_note, doc)
    create_json(folder + "/final.json", doc)
    control.acknowledge(folder)


def _note(path: str, doc: Doc) -> None:
    import json

    short = {key: doc[key] for key in ("schema", "task_id", "request_id", "state", "reason")}
    last = doc["attempts"][-1] if doc["attempts"] else {}
    short.update((key, last.get(key)) for key in ("number", "exit_code", "signal"))
    try:
        # Not by rename: a platform watches the file that it made.
        with open(path, "wb") as file:
            file.write(json.dumps(short).encode()[:_NOTE_BYTES])
    except OSError:
        return
