"""Running some ranks of one task in the foreground, as batch systems and other spawners want it."""

import os
import signal
import time
from typing import List, Optional

from . import bundle as bundles, control, outcome
from .bundle import Bundle, BundleError
from .node import Node
from .peers import Peers
from .pending import is_pending
from .rank import Rank
from .record import Doc, attempt_dir, attempts, create_json, read_exit, read_final
from .starts import TAKEN_BACK, close_earlier
from .task import Task

_TICK = 0.2  # seconds between two looks at the control files and at ranks that run elsewhere
_CANNOT = 125
# Some platforms signal the command as well as us: it may be seen to end first (seconds).
_DOUBT = 0.3
_OTHERS = 10.0  # seconds for ranks elsewhere to see that one has failed, beside their grace


class Run:
    """Some ranks of one task."""

    def __init__(self, folder: str, bundle: Bundle, ranks: List[int]) -> None:
        self._folder, self._bundle, self._ranks = folder, bundle, ranks
        self._over = False
        self._asked: Optional[int] = None
        self._to_pass_on: List[int] = []
        self._node = Node(lambda task, rank, what: None)
        self._peers = Peers(folder, bundle, ranks) if bundle.peers else None
        self._task = Task(self._node, folder, bundle, ranks, None, self._final)
        self._task.is_doubtful = self._is_doubtful
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda number, frame: self._to_pass_on.append(number))

    def _final(self, task: Task, doc: Doc) -> None:
        self._over = True

    def _ask(self, number: int, frame: object) -> None:
        self._asked = number

    def run(self) -> int:
        """Run the ranks; the exit code of the first that did not succeed, else 0."""
        if not attempts(self._folder) and control.cancel_grace(self._folder, 0.0) is not None:
            self._task.stop_before_start()
        else:
            close_earlier(self._folder, self._ranks)
            self._task.resume()
        if self._peers is not None:
            self._peers.start()
        while not self._over and not self._done_here():
            self._node.loop.turn(time.monotonic() + _TICK)
            self._obey()
            self._look_for_notice()
            if self._peers is not None:
                self._peers.look()
            self._task.look()
        _upload(self._folder, self._peers)
        if self._peers is not None:
            self._peers.close()
        return exit_code(self._folder, self._ranks)

    def _look_for_notice(self) -> None:
        """A file of the platform's says, while it is there, that the machine will be taken back."""
        if self._bundle.preempt.get("kind") == "file":
            self._task.warn(os.path.exists(str(self._bundle.preempt["path"])))

    def _is_doubtful(self, rank: Rank) -> bool:
        """Whether a command that was ended by a signal may have been ended by the platform, which tells us next."""
        end = rank.end
        if end is None or end.code != 128 + signal.SIGTERM or end.verdict or not self._is_told_by_signal():
            return False
        return not self._task.leaving and time.time() - (end.ended_at or 0.0) < _DOUBT

    def _obey(self) -> None:
        while self._to_pass_on:
            number = self._to_pass_on.pop(0)
            for rank in self._task.ranks.values():
                self._node.ending.send(rank, number)
        asked, self._asked = self._asked, None
        if asked is not None:
            self._task.look()  # a cancel, or another rank's failure, is why the platform ends us
            self._leave(asked)

    def _leave(self, number: int) -> None:
        if self._is_told_by_signal():
            self._task.take_back(TAKEN_BACK)
        else:
            self._task.stop("cancelled", "stopped by %s from the platform" % signal.Signals(number).name)

    def _is_told_by_signal(self) -> bool:
        return self._bundle.preempt.get("kind") in ("signal", "file")

    def _done_here(self) -> bool:
        """Whether our ranks are over and no failure elsewhere can make them start again."""
        ranks: List[Rank] = list(self._task.ranks.values())
        if any(self._is_doubtful(rank) for rank in ranks):
            return False
        if self._task.leaving:
            return all(rank.over for rank in ranks)
        returns = outcome.machine_returns(self._bundle.preempt) or any(map(_is_preempted, ranks))
        again = self._bundle.retry.retries or self._bundle.restart != "no" or returns or self._peers is not None
        return not again and bool(ranks) and all(rank.over for rank in ranks) and not self._waits_for_others(ranks)

    def _waits_for_others(self, ranks: List[Rank]) -> bool:
        """Whether ranks elsewhere are about to stop because ours failed: who starts us may kill them when we leave."""
        ends = [rank.end for rank in ranks if rank.end is not None and rank.end.code]
        if not ends or len(ranks) == self._bundle.num_instances:
            return False
        last = max(end.ended_at or 0.0 for end in ends)
        return time.time() - last < self._bundle.limits.grace + _OTHERS


def _is_preempted(rank: Rank) -> bool:
    """Whether a rank ended in a way after which all begin again, as soon as the others have ended too."""
    return rank.end is not None and (rank.end.verdict or ("",))[0] == "preempted"


def exit_code(folder: str, ranks: List[int]) -> int:
    """The exit code of these ranks in the last attempt: of the first that did not succeed, else 0."""
    last = attempts(folder)[-1:]
    exits = [read_exit(attempt_dir(folder, number, rank) + "/exit") for number in last for rank in ranks]
    # One that was ended as a failure has failed, also when it takes that well.
    codes = [1 if end.code == 0 and (end.verdict or ("",))[0] == "failed" else end.code for end in exits]
    bad = [_CANNOT if code is None else code for code in codes if code != 0]
    return bad[0] if bad else 0 if codes else _CANNOT


def run(folder: str, ranks: List[int]) -> int:
    """Run ``ranks`` of the task in ``folder`` (none given: the one that the bundle's environment variable names)."""
    folder = os.path.abspath(folder)
    try:
        bundle = bundles.read(folder)
        numbers = ranks or [_own_rank(bundle)]
        if bundle.code.get("files") is not None and read_final(folder) is None:
            from .fetch import code

            code(folder, bundle)
    except BundleError as error:
        return _refuse(folder, str(error))
    if read_final(folder) is None:
        return Run(folder, bundle, numbers).run()
    _upload(folder)
    return exit_code(folder, numbers)


def _upload(folder: str, peers: Optional[Peers] = None) -> None:
    """Bring what the task keeps to its store before the machine may go."""
    if is_pending(folder):
        from .upload import upload

        upload(folder, peers=peers)


def _own_rank(bundle: Bundle) -> int:
    here = bundle.rank.get("here")
    if here is not None:
        return int(here)
    names = bundle.rank.get("names") or ()
    for name in names:
        if os.environ.get(str(name), "").isdigit():
            return int(os.environ[str(name)])
    if bundle.num_instances == 1:
        return 0
    raise BundleError("which rank is this? None is given, and none of these is set: %s" % ", ".join(names))


def _refuse(folder: str, reason: str) -> int:
    from .record import read_json

    os.write(2, b"flow: %s\n" % reason.encode())
    if os.path.isdir(folder):
        plan = outcome.plan(read_json(folder + "/bundle.json"), folder)
        create_json(folder + "/final.json", dict(outcome.task(plan, []), state="failed", reason=reason))
    return _CANNOT
