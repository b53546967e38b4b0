"""The second witness: sees that watchers and commands end, and writes the end where the watcher no longer can.

A watcher that this process started is its child. One that was found running is followed through pidfds, or by
looking where the kernel has none. A command whose watcher was killed is given to this process, the sub-reaper; if
it is not, its pidfd is followed and its exit code taken from its zombie or from PIDFD_GET_INFO.
"""

import os
import time
from typing import Any, Callable, Dict, List, Optional

from . import outcome, process, tree, watcher
from .loop import Loop
from .process import Stat
from .rank import Rank
from .record import Exit

# Most commands that are very short have ended by then and need no ``t`` line (seconds).
_YOUNG = 0.05
_LOOK = 0.1  # seconds between two looks where nothing wakes us
_ELSEWHERE = 1.0
_REFUSED = 125  # the exit code of what the runner did not start, as env(1) and timeout(1) have it
_PATIENCE = 0.2  # seconds in which the exit code of a reaped command may still appear


class Witness:
    """Answers for ranks: ``on_end`` is called once when one has ended, ``on_never_ran`` when it must start again."""

    def __init__(self, loop: Loop, on_end: Callable[[Rank], None], on_never_ran: Callable[[Rank], None]) -> None:
        self._loop, self._on_end, self._on_never_ran = loop, on_end, on_never_ran
        self._subreaper = process.become_subreaper()
        self._watchers: Dict[int, Rank] = {}
        self._commands: Dict[int, Rank] = {}
        self.other_children: Dict[int, Callable[[], None]] = {}
        self.on_command: Callable[[Rank], None] = lambda rank: None
        loop.on_child = self.reap

    def start(self, rank: Rank, argv: List[str], env: Dict[str, str], cwd: str) -> bool:
        """Start a rank; False when it was started before. Raises OSError; then nothing has run."""
        started = watcher.start(rank.folder, argv, env, cwd)
        if started is None:
            return False
        rank.watcher, rank.since, rank.orphans_come_here = started.pid, started.monotonic, self._subreaper
        self._watchers[started.pid] = rank
        self._loop.after(_YOUNG, lambda: self._note_command(rank, _YOUNG))
        return True

    def refuse(self, rank: Rank, state: str, reason: str) -> None:
        """End a rank that was never started."""
        rank.append("r %s %s\nx %d" % (state, " ".join(reason.split()), _REFUSED))
        self._settle(rank)

    def adopt(self, rank: Rank) -> bool:
        """Take over a rank that may have been started by another process; False when it never was."""
        watched = watcher.is_watched(rank.path)  # first: what is read after a watcher's end is all it wrote
        found = rank.record()
        rank.watcher, rank.task = found.watcher or 0, found.task
        rank.since = found.began.monotonic if found.began else time.monotonic()
        began = found.began
        if found.ended:
            self._ended(rank, found)
        elif outcome.rebooted(found):
            rank.append(outcome.rebooted_line(rank.returns))
            self._settle(rank)
        elif rank.watcher and began is not None and began.host != process.host():
            self._follow_elsewhere(rank, began.host)
        elif watched:
            self._follow_watcher(rank)
        elif found.watcher is None:
            return False
        else:
            self._watcher_killed(rank)
        return True

    def _follow_elsewhere(self, rank: Rank, host: str) -> None:
        """Wait for the end of a rank on another machine, whose pids mean nothing here."""
        rank.watcher, rank.task, rank.starting = 0, None, True
        if watcher.is_watched(rank.path):
            self._loop.after(_ELSEWHERE, lambda: self._adopt_again(rank))
        else:
            self._lost(rank, outcome.ELSEWHERE % host)

    def _follow_watcher(self, rank: Rank) -> None:
        if rank.end is not None:
            return
        rank.starting = not rank.watcher
        if rank.starting:  # its first line is on the way
            self._loop.after(0.005, lambda: self._adopt_again(rank))
            return
        self._note_command(rank, _YOUNG)
        fd = process.open_pidfd(rank.watcher)
        if fd is None:
            self._loop.after(_LOOK, lambda: self._look_at_watcher(rank))
        else:

            def ended() -> None:
                self._loop.forget(fd)
                os.close(fd)
                self._watcher_gone(rank)

            self._loop.watch(fd, ended)

    def _adopt_again(self, rank: Rank) -> None:
        rank.starting = False
        if not self.adopt(rank):
            self._on_never_ran(rank)

    def _look_at_watcher(self, rank: Rank) -> None:
        if rank.end is None and watcher.is_watched(rank.path):
            self._loop.after(_LOOK, lambda: self._look_at_watcher(rank))
        else:
            self._watcher_gone(rank)

    def _watcher_gone(self, rank: Rank) -> None:
        if rank.end is not None:
            return
        found = rank.record()
        if found.ended:
            self._ended(rank, found)
        else:
            self._watcher_killed(rank)

    def _note_command(self, rank: Rank, again: float) -> None:
        """Write the ``t`` line: from then on nobody who comes later needs the watcher to find the command."""
        if rank.end is not None:
            return
        if rank.task is None:
            found = self._first_child(rank)
            if found is None:
                self._loop.after(again, lambda: self._note_command(rank, min(again * 2, 1.0)))
                return
            rank.task = found
            rank.append("t %d %d" % found)
        self._commands[rank.task[0]] = rank
        if rank.pidfd is None:
            rank.pidfd = process.open_pidfd(rank.task[0])
        self.on_command(rank)

    def _first_child(self, rank: Rank) -> Any:
        for child in process.children(rank.watcher)[:1]:
            row = process.stat(child)
            if row is not None and row.session == rank.watcher:
                return child, row.started
        return None

    def reap(self) -> None:
        """Take the exit codes of all children that have ended."""
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            self._child_ended(info.si_pid, info)
            # Only now: as long as it is a zombie its pid means this process and no other.
            os.waitpid(info.si_pid, os.WNOHANG)

    def _child_ended(self, pid: int, info: Any) -> None:
        rank = self._watchers.pop(pid, None)
        if rank is not None:
            self._own_watcher_ended(rank, info)
            return
        if pid in self.other_children:
            self.other_children.pop(pid)()
            return
        rank = self._commands.get(pid) or self._orphan_of(pid)
        if rank is not None and rank.task is not None and rank.task[0] == pid:
            self._command_ended(rank, info)

    def _orphan_of(self, pid: int) -> Optional[Rank]:
        """The rank whose command this zombie is, killed watcher and all, before its pid was ever noted."""
        row = process.stat(pid)
        rank = self._watchers.get(row.session) if row else None
        if rank is None or rank.task is not None:
            return None
        leader = process.stat(rank.watcher)
        if leader is None or leader.state in "ZX":
            self._find_command(rank)
        return rank

    def _own_watcher_ended(self, rank: Rank, info: Any) -> None:
        if rank.end is not None:
            return
        found = rank.record()
        if found.ended:
            self._ended(rank, found)
        elif found.watcher is None:
            self._on_never_ran(rank)
        elif info.si_code == os.CLD_EXITED:  # it could not write its last line
            self._write_end(rank, info.si_status, None)
        else:
            self._watcher_killed(rank)

    def _command_ended(self, rank: Rank, info: Any) -> None:
        if rank.end is not None:
            return
        if info.si_code == os.CLD_EXITED:
            self._write_end(rank, info.si_status, None)
        else:
            self._write_end(rank, 128 + info.si_status, info.si_status)

    def _watcher_killed(self, rank: Rank) -> None:
        row = self._find_command(rank)
        if row is not None and row.parent == os.getpid() and self._subreaper:
            return  # a child now: its end is reaped
        self._follow_command(rank, time.monotonic() + _PATIENCE)

    def _find_command(self, rank: Rank) -> Optional[Stat]:
        if rank.task is not None:
            row = process.stat(rank.task[0])
            return row if row is not None and row.started == rank.task[1] else None
        found = tree.command(rank.leader, process.table()) if rank.leader else None
        if found is None:
            return None
        rank.task = (found[0], found[1].started)
        rank.append("t %d %d" % rank.task)
        self._commands[found[0]] = rank
        return found[1]

    def _follow_command(self, rank: Rank, patience: float) -> None:
        """Learn the end of a command that is nobody's child here."""
        if rank.end is not None:
            return
        row = self._find_command(rank)
        if row is not None and row.state not in "ZX":
            self._wait_for_command(rank)
            return
        # While it is a zombie /proc has its exit code, after that the kernel may still tell it by its pidfd.
        gone = process.pidfd_status(rank.pidfd) if rank.pidfd is not None else None
        status = row.status if row is not None else gone
        if status is not None:
            self._write_status(rank, status)
        elif time.monotonic() < patience:
            self._loop.after(0.005, lambda: self._follow_command(rank, patience))
        else:
            self._lost(rank, outcome.KILLED)

    def _wait_for_command(self, rank: Rank) -> None:
        if rank.pidfd is None and rank.task is not None:
            rank.pidfd = process.open_pidfd(rank.task[0])
        fd = rank.pidfd
        if fd is None:
            self._loop.after(_LOOK / 10, lambda: self._follow_command(rank, time.monotonic() + _PATIENCE))
            return

        def ended() -> None:
            self._loop.forget(fd)
            self._follow_command(rank, time.monotonic() + _PATIENCE)

        self._loop.watch(fd, ended)

    def _write_status(self, rank: Rank, status: int) -> None:
        if os.WIFSIGNALED(status):
            self._write_end(rank, 128 + os.WTERMSIG(status), os.WTERMSIG(status))
        else:
            self._write_end(rank, os.WEXITSTATUS(status), None)

    def _write_end(self, rank: Rank, code: int, number: Optional[int]) -> None:
        """Write the end for the watcher, again and again until the disk has room."""
        if not rank.record().ended:
            rank.append("x %d%s" % (code, "\ns %d" % number if number is not None else ""))
        self._settle(rank)

    def _lost(self, rank: Rank, why: str) -> None:
        rank.append("r lost %s" % why)
        self._settle(rank)

    def _settle(self, rank: Rank) -> None:
        if rank.end is not None:
            return
        if rank.flush():
            self._ended(rank, rank.record())
        else:
            self._loop.after(1.0, lambda: self._settle(rank))

    def _ended(self, rank: Rank, found: Exit) -> None:
        if rank.end is not None:
            return
        rank.end = self._with_memory(rank, self._with_signal(rank, found))
        if rank.task is not None:
            self._commands.pop(rank.task[0], None)
        if rank.pidfd is not None:
            self._loop.forget(rank.pidfd)
            os.close(rank.pidfd)
            rank.pidfd = None
        self._on_end(rank)

    def _with_memory(self, rank: Rank, found: Exit) -> Exit:
        """Tell a command that ran out of the memory it claimed from one that was killed by somebody."""
        limit = rank.ran_out(found.code) if found.code else None
        if limit is None or found.ran_out is not None:
            return found
        rank.append("o %d\ne %.6f" % (limit, found.ended_at or time.time()))
        return rank.record()

    def _with_signal(self, rank: Rank, found: Exit) -> Exit:
        """Where the kernel still knows it, tell a command that was killed from one that exited with 128 + N."""
        if found.signal is not None or found.code is None or found.code <= 128 or rank.pidfd is None:
            return found
        status = process.pidfd_status(rank.pidfd)
        if status is None or not os.WIFSIGNALED(status):
            return found
        rank.append("s %d\ne %.6f" % (os.WTERMSIG(status), found.ended_at or time.time()))
        return rank.record()

    @property
    def idle(self) -> bool:
        """Whether no watcher that this process started is left."""
        return not self._watchers

    def strangers(self) -> List[int]:
        """Children that are neither watchers nor commands: what tasks have left to the sub-reaper."""
        known = (self._watchers, self._commands, self.other_children)
        return [pid for pid in process.children(os.getpid()) if not any(pid in some for some in known)]
