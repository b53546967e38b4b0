"""What exit records mean: the states and reasons of ranks, attempts and a task."""

import os
import signal
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from . import process, watcher
from .record import Doc, Exit, attempt_dir, attempts, read_exit, read_final, read_json
from .sizes import size

# A record this old (seconds), whose processes are all gone, has nobody left who could complete it.
_ABANDONED = 3.0
_SETTLING = 0.25
_READY, _NOT_READY = "ready", "not ready yet"


class Plan(NamedTuple):
    """What must be known of a bundle to judge its attempts."""

    task_id: str
    request_id: str
    ranks: int
    retries: int
    restart: str = "no"
    max_preemptions: Optional[int] = None  # None: as many as come


def plan(bundle: Optional[Doc], folder: str) -> Plan:
    """The plan of a bundle; a bundle that cannot be read has one rank and no retries."""
    doc = bundle or {}
    retry = doc.get("retry")
    retries = retry.get("retries") if isinstance(retry, dict) else 0
    ranks = doc.get("num_instances")
    name = os.path.basename(folder)
    return Plan(
        str(doc.get("task_id") or name),
        str(doc.get("request_id") or name),
        ranks if isinstance(ranks, int) and ranks > 0 else 1,
        retries if isinstance(retries, int) else 0,
        str(doc.get("restart") or "no"),
        doc.get("max_preemptions"),
    )


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; the number where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def node(rank: int, found: Exit) -> Doc:
    """The report of one rank."""
    number, inferred = _signal(found)
    state, reason = _judge(found, number, inferred)
    doc: Doc = {
        "rank": rank,
        "state": state,
        "exit_code": found.code,
        "signal": number,
        "reason": reason,
        "started_at": found.began.epoch if found.began else None,
        "ended_at": found.ended_at,
        "ready": state == "running" and found.ready is not False,
        "name": found.began.host if found.began else None,
    }
    if inferred:
        doc["signal_inferred"] = True
    if found.ready is not None:
        doc["ready_at"] = found.ready_at
    return doc


def _signal(found: Exit) -> Tuple[Optional[int], bool]:
    if found.signal is not None or found.code is None:
        return found.signal, False
    if 128 < found.code <= 128 + 64:  # a shell's way to say it; a command may also exit so by itself
        return found.code - 128, True
    return None, False


def _judge(found: Exit, number: Optional[int], inferred: bool) -> Tuple[str, str]:
    if not found.ended:
        well = {None: "", True: _READY, False: _NOT_READY}[found.ready]
        return ("running", well) if found.watcher is not None else ("pending", "")
    if found.verdict is not None and (found.verdict[0], found.code) != ("preempted", 0):
        state, reason = found.verdict
        return _MEANT.get(state, state), reason
    if found.notice and found.code != 0:
        return "preempted", "the platform took the machine back; it ended with %s" % _ending(found, number)
    if found.code == 0:
        return "succeeded", "exit code 0"
    if found.ran_out is not None:
        return "failed", _out_of_memory(found.code, number, found.ran_out)
    if number is None:
        return "failed", "exit code %s" % found.code
    killed = "killed by signal %d (%s)" % (number, signal_name(number))
    return "failed", "exit code %d: %s" % (found.code, killed) if inferred and found.code else killed


_MEANT = {"stopped": "cancelled", "taken": "preempted"}


def _ending(found: Exit, number: Optional[int]) -> str:
    return signal_name(number) if number is not None else "exit code %s" % found.code


def _out_of_memory(code: Optional[int], number: Optional[int], limit: int) -> str:
    mend = "(limit %s): raise `memory:`" % size(limit)
    if number == signal.SIGKILL:
        return "killed for memory %s" % mend
    return "exit code %s after one of its processes was killed for memory %s" % (code, mend)


def attempt(number: int, exits: Dict[int, Exit], ranks: int) -> Doc:
    """The report of one attempt from the exit records of its ranks."""
    nodes = [node(rank, exits.get(rank, Exit())) for rank in range(ranks)]
    chosen = _chosen(nodes, exits)
    state, reason = chosen["state"], chosen["reason"]
    if state == "failed" and ranks > 1:
        reason = "rank %d failed: %s" % (chosen["rank"], reason)
    started = [n["started_at"] for n in nodes if n["started_at"] is not None]
    ended = [n["ended_at"] for n in nodes if n["ended_at"] is not None]
    over = all(exits.get(rank, Exit()).ended for rank in range(ranks))
    return {
        "number": number,
        "state": state,
        "exit_code": chosen["exit_code"] if over else None,
        "signal": chosen["signal"] if over else None,
        "reason": reason,
        "started_at": min(started) if started else None,
        "ended_at": max(ended) if over and ended else None,
        "nodes": nodes,
        "preempt_notice_at": min((e.notice_at for e in exits.values() if e.notice_at is not None), default=None),
        **({"signal_inferred": True} if over and chosen.get("signal_inferred") else {}),
    }


def _chosen(nodes: List[Doc], exits: Dict[int, Exit]) -> Doc:
    """The rank that speaks for the attempt: one that still lives, else the first that did not succeed."""
    live = [n for n in nodes if n["state"] in ("running", "pending")]
    if live:
        begun = any(n["state"] != "pending" for n in nodes)
        return dict(live[0], state="running" if begun else "pending", reason=_health(nodes) if begun else "")
    own = [n for n in nodes if n["state"] != "succeeded" and not stopped(exits[n["rank"]])]
    bad = own or [n for n in nodes if n["state"] != "succeeded"]
    return min(bad, key=_end) if bad else nodes[0]


def _health(nodes: List[Doc]) -> str:
    """How the services of all ranks are; empty where nobody looks after them."""
    said = {n["reason"] for n in nodes if "ready_at" in n}
    return "" if not said else _READY if all(n["ready"] for n in nodes) else _NOT_READY


def _end(doc: Doc) -> Tuple[float, int]:
    return doc["ended_at"] or 0.0, doc["rank"]


def stopped(found: Exit) -> bool:
    """Whether a rank ended only because another one had failed."""
    return found.verdict is not None and found.verdict[0] == "stopped"


def first_failure(exits: Dict[int, Exit]) -> Optional[Doc]:
    """The rank whose end must end the others; None while none has failed by itself."""
    nodes = [node(rank, found) for rank, found in exits.items() if found.ended and not stopped(found)]
    bad = [n for n in nodes if n["state"] != "succeeded"]
    return min(bad, key=_end) if bad else None


_RESTARTED = {"on-failure": ("failed",), "always": ("failed", "succeeded")}


def restarts(done: List[Doc], policy: str) -> bool:
    """Whether the policy of a service has it started again after the last of these attempts."""
    return done[-1]["state"] in _RESTARTED.get(policy, ())


def tries_again(done: List[Doc], intent: Plan) -> bool:
    """Whether the last of these attempts, which has ended, is followed by another one."""
    if done[-1]["state"] == "preempted":
        most = intent.max_preemptions
        return most is None or sum(a["state"] == "preempted" for a in done) <= most
    if restarts(done, intent.restart):
        return True
    failed: bool = done[-1]["state"] == "failed"
    return failed and sum(a["state"] == "failed" for a in done) <= intent.retries


def short_lived(done: List[Doc], seconds: float) -> int:
    """How many of the last attempts were not well for so long at a stretch that what ended them is a new trouble."""
    count = 0
    while count < len(done) and not _was_well(done[-1 - count], seconds):
        count += 1
    return count


def _was_well(doc: Doc, seconds: float) -> bool:
    since = [n["ready_at"] if "ready_at" in n else n["started_at"] for n in doc["nodes"]]
    if None in since or doc["ended_at"] is None:
        return False
    return bool(doc["ended_at"] - max(since) >= seconds)


WAITING = "waiting to start"


def task(intent: Plan, done: List[Doc], retry: bool = True) -> Doc:
    """The report of a task from its attempts; ``retry=False`` ends it with the last one."""
    state, reason = ("pending", WAITING) if not done else (done[-1]["state"], done[-1]["reason"])
    if done and retry and tries_again(done, intent):
        again = "restarted" if restarts(done, intent.restart) else "tried again"
        state, reason = "pending", "attempt %d: %s; it is %s" % (done[-1]["number"], reason, again)
    return {
        "schema": "flow.report/1",
        "task_id": intent.task_id,
        "request_id": intent.request_id,
        "state": state,
        "reason": reason,
        "attempts": done,
        "source": "node",
        "observed_at": time.time(),
    }


def read_attempt(folder: str, number: int, ranks: int) -> Dict[int, Exit]:
    """The exit records of all ranks of one attempt."""
    return {rank: read_exit(attempt_dir(folder, number, rank) + "/exit") for rank in range(ranks)}


def report(folder: str) -> Doc:
    """What the folder says about its task now, in the form of a ``TaskReport``.

    Right while it runs, after its end, and when whoever ran it was killed. Raises FileNotFoundError
    when the folder is gone (it moves to ``done/`` at the end: ``locate`` it again).
    """
    final = read_final(folder)
    if final is not None and os.path.exists(folder + "/tickets.json"):
        return dict(final, machine_held=True)
    return final or observe(folder)


def observe(folder: str) -> Doc:
    """The report of a task that has no final one; nothing is written."""
    bundle = read_json(folder + "/bundle.json")
    if bundle is None:
        os.stat(folder)
    intent = plan(bundle, folder)
    returns = machine_returns((bundle or {}).get("preempt") or {})
    done = [attempt(number, _look(folder, number, intent.ranks, returns), intent.ranks) for number in attempts(folder)]
    return read_final(folder) or (task(intent, done) if done else _waiting(folder, intent))


def _waiting(folder: str, intent: Plan) -> Doc:
    from .board import reason

    found = task(intent, [])
    return dict(found, reason=reason(folder) or found["reason"])


def machine_returns(preempt: Doc) -> bool:
    """Whether a machine that the platform takes back comes again with its disk, and the task begins anew on it."""
    return preempt.get("kind") == "file"


def _look(folder: str, number: int, ranks: int, returns: bool) -> Dict[int, Exit]:
    return {rank: _seen(folder, attempt_dir(folder, number, rank) + "/exit", returns) for rank in range(ranks)}


def _seen(folder: str, path: str, returns: bool) -> Exit:
    """The record as it stands, or with the evidence of this machine that nobody will complete it."""
    found = read_exit(path)
    if gone(found) is None or _is_served(folder):
        return found
    time.sleep(_SETTLING)  # a second witness may be about to write what it saw
    found = read_exit(path)
    why = gone(found)
    if why == REBOOTED and returns:
        return found._replace(verdict=("taken", TAKEN), gone=True, ended_at=time.time())
    verdict = found.verdict or ("lost", why or "")
    return found._replace(verdict=verdict, gone=True, ended_at=time.time()) if why else found


def _is_served(folder: str) -> bool:
    """Whether a server of this machine answers for the task: it may know of a killed rank what nobody else can see."""
    root, kind = os.path.split(os.path.dirname(os.path.abspath(folder)))
    return kind == "tasks" and watcher.is_watched(root + "/serve.lock")


REBOOTED = "the machine was restarted (another boot id)"
TAKEN = "the platform took the machine and gave it back: %s" % REBOOTED
ELSEWHERE = "it was started on %s, which left no record of its end"
KILLED = "its watcher and its command were killed, and nobody was left to see the exit code"


def rebooted_line(returns: bool) -> str:
    """What the exit record says of a rank that ended with its machine; one whose machine ``returns`` begins again."""
    return "r taken %s" % TAKEN if returns else "r lost %s" % REBOOTED


def rebooted(found: Exit) -> bool:
    """Whether the rank was started on this machine before its last restart, and had not ended then."""
    began = found.began
    here = began is not None and began.host == process.host() and began.boot != process.boot_id()
    return here and found.watcher is not None and not found.ended


def gone(found: Exit) -> Optional[str]:
    """Why a rank that was started here can never end by itself; None where that is not proven."""
    if found.ended or found.watcher is None or found.began is None or found.began.host != process.host():
        return None
    if rebooted(found):
        return REBOOTED
    since = found.began.monotonic  # the clock on the wall may be set back
    young = time.monotonic() - since < _ABANDONED
    if young or process.session(found.watcher, since) or (found.task and process.has_witness(*found.task)):
        return None
    return KILLED
