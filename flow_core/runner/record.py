"""The folders of a machine and what stands in them: exit records, final reports.

``ROOT/{serve.lock,bell,events,machine.json}``, ``ROOT/tasks/<id>/`` for what lives,
``ROOT/tasks/.<id>.new/`` for what is being staged, ``ROOT/done/<last two characters>/<id>/`` for what has ended.
In a task's folder ``attempts/<attempt>/<rank>/{exit,stdout,stderr,system}``, ``control/``, ``bundle.json``,
``final.json``. An exit record is a file of appended lines, each one ``write``; a torn line does not exist:

``b BOOT EPOCH MONOTONIC HOST``  about to start (seconds; the block this takes is room for the lines to come)
``w PID``                        the watcher lives
``t PID STARTTIME``              the command, with its start in clock ticks since boot
``h 0|1 EPOCH``                  a service: not well (yet), or well since; the last one counts
``n EPOCH``                      the platform will take the machine back, said then; 0: it will not after all
``r STATE REASON``               why it is about to be ended, the first one counts; without effect behind an ``x``.
                                 ``r lost`` and ``r taken`` (with its machine) are the end: nobody is left who could
                                 write the exit code
``x CODE``                       the end; the first one counts
``p REASON``                     behind an ``x``: it ended because the platform took the machine back
``s SIGNAL``                     the signal that ended the command, from who called waitid
``o BYTES``                      a process of it was killed for memory, with this limit
``e EPOCH``                      when it ended, where a line was appended behind the ``x``
"""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

Doc = Dict[str, Any]
_BLOCK = 1 << 16


class Began(NamedTuple):
    """Where and when a rank was started; ``monotonic`` is comparable within one boot only."""

    boot: str
    epoch: float
    monotonic: float
    host: str


class Exit(NamedTuple):
    """What an exit record says; everything absent is None."""

    began: Optional[Began] = None
    watcher: Optional[int] = None
    task: Optional[Tuple[int, int]] = None
    code: Optional[int] = None
    signal: Optional[int] = None
    verdict: Optional[Tuple[str, str]] = None
    gone: bool = False  # nothing of it is left, and nobody saw its exit code
    ended_at: Optional[float] = None
    ran_out: Optional[int] = None
    ready: Optional[bool] = None  # None: no service, or nobody looks after it
    ready_at: Optional[float] = None  # when it was well first
    notice: bool = False  # whether the machine was about to be taken back when it ended, or is now
    notice_at: Optional[float] = None  # when that was said first

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to this rank in this attempt."""
        return self.code is not None or self.gone


def parse_exit(data: bytes, modified: Optional[float] = None) -> Exit:
    """Read an exit record; ``modified`` (epoch seconds) dates an end that no line dates.

    Such an end is never before the beginning, as a file's time may be: it comes from a clock that is a tick behind.
    """
    found: Dict[str, Any] = {}
    for line in data.split(b"\n")[:-1]:
        words = line.decode("utf-8", "replace").split(" ")
        read = _LINES.get(words[0])
        if read is not None and read[0] in (len(words), 0):
            try:
                read[1](found, words)
            except ValueError:  # two torn lines grown together
                continue
    said = Exit(**found)
    if modified is None or said.ended_at is not None or not said.ended:
        return said
    return said._replace(ended_at=max(modified, said.began.epoch if said.began else modified))


def _began(found: Doc, words: List[str]) -> None:
    if "watcher" not in found:
        found["began"] = Began(words[1], float(words[2]), float(words[3]), words[4])


def _watcher(found: Doc, words: List[str]) -> None:
    found.setdefault("watcher", int(words[1]))


def _task(found: Doc, words: List[str]) -> None:
    found.setdefault("task", (int(words[1]), int(words[2])))


def _verdict(found: Doc, words: List[str]) -> None:
    if "code" not in found and len(words) > 2:
        found["gone"] = found.get("gone", False) or words[1] in ("lost", "taken")
        found.setdefault("verdict", (words[1], " ".join(words[2:])))


def _taken_back(found: Doc, words: List[str]) -> None:
    found.setdefault("verdict", ("preempted", " ".join(words[1:])))


def _code(found: Doc, words: List[str]) -> None:
    found.setdefault("code", int(words[1]))


def _signal(found: Doc, words: List[str]) -> None:
    found.setdefault("signal", int(words[1]))


def _ran_out(found: Doc, words: List[str]) -> None:
    found.setdefault("ran_out", int(words[1]))


def _health(found: Doc, words: List[str]) -> None:
    found["ready"] = bool(int(words[1]))
    if found["ready"]:
        found.setdefault("ready_at", float(words[2]))


def _notice(found: Doc, words: List[str]) -> None:
    if "code" not in found:
        found["notice"] = float(words[1]) > 0
        if found["notice"]:
            found.setdefault("notice_at", float(words[1]))


def _ended(found: Doc, words: List[str]) -> None:
    found.setdefault("ended_at", float(words[1]))


# Words in the line (0 = any number), and what it adds.
_LINES = {
    "b": (5, _began),
    "w": (2, _watcher),
    "t": (3, _task),
    "h": (3, _health),
    "n": (2, _notice),
    "r": (0, _verdict),
    "x": (2, _code),
    "p": (0, _taken_back),
    "s": (2, _signal),
    "o": (2, _ran_out),
    "e": (2, _ended),
}


def read_exit(path: str) -> Exit:
    """The exit record at ``path``; an empty one when there is no such file."""
    try:
        data, modified = content(path)
    except OSError:
        return Exit()
    return parse_exit(data, modified)


def content(path: str) -> Tuple[bytes, float]:
    """The bytes of a file and when it was changed; without a file object, which costs more than a small file does."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = list(iter(lambda: os.read(fd, _BLOCK), b""))
        return b"".join(parts), os.fstat(fd).st_mtime
    finally:
        os.close(fd)


def attempt_dir(folder: str, attempt: int, rank: int) -> str:
    """The folder of one rank of one attempt."""
    return "%s/attempts/%d/%d" % (folder, attempt, rank)


def attempts(folder: str) -> List[int]:
    """The numbers of the attempts that were begun, in order."""
    try:
        return sorted(int(name) for name in os.listdir(folder + "/attempts") if name.isdigit())
    except OSError:
        return []


def done_dir(root: str, task: str) -> str:
    """Where the folder ``task`` of ``root`` lies after its end."""
    return "%s/done/%s/%s" % (root, task[-2:], task)


def locate(root: str, task: str) -> Optional[str]:
    """The folder of a task, live or ended; None when this machine has none of that name."""
    if task in ("", ".", "..") or "/" in task:
        return None  # no task's name, but a path that would lead to another folder
    if task.startswith(".") or os.sep in task or not task:
        return None  # a folder's name, and none that is still being staged
    live = "%s/tasks/%s" % (root, task)
    for path in (live, done_dir(root, task), live):  # it may move between the first two looks
        if os.path.isdir(path):
            return path
    return None


def read_json(path: str) -> Optional[Doc]:
    """The JSON object at ``path``; None when it is missing or not a JSON object."""
    try:
        found = json.loads(content(path)[0])
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Put a whole file in place by rename: a reader sees the old one or the new one."""
    os.rename(_beside(path, data, mode), path)


def write_json(path: str, doc: Doc) -> None:
    """Put a JSON file (0600) in place by rename."""
    write_file(path, json.dumps(doc).encode())


def create_json(path: str, doc: Doc) -> bool:
    """Put a JSON file (0600) in place unless there is one; whether this call did it."""
    new = _beside(path, json.dumps(doc).encode(), 0o600)
    try:
        os.link(new, path)
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(new)


def _beside(path: str, data: bytes, mode: int) -> str:
    folder, name = os.path.split(path)
    new = os.path.join(folder, ".%s.%d.%s" % (name, os.getpid(), os.urandom(4).hex()))
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BaseException:
        os.unlink(new)
        raise
    finally:
        os.close(fd)
    return new


def read_final(folder: str) -> Optional[Doc]:
    """The final report of a task; None while it has not ended."""
    return read_json(folder + "/final.json")
