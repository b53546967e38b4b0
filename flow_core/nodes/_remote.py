"""Shell texts that are run on a node: one line each, for any login shell, with arguments quoted for it.

What a login script prints comes before :data:`BEGIN`. Exit codes: 93 the runner is not installed, 94 no Python, 95 a
file came incomplete, 66 no such task folder, 92 the machine is still being set up, 91 that failed, 90 more bytes than
were asked for.
"""

from __future__ import annotations

import posixpath
import shlex
from hashlib import sha256

from flow_core import runner
from flow_core.runner import record

BEGIN = b"--flow--\n"
NOT_INSTALLED, NO_PYTHON, INCOMPLETE, NO_FOLDER = 93, 94, 95, 66
NOT_READY, SETUP_FAILED, TOO_LARGE = 92, 91, 90

_MINORS = " ".join(f"python3.{minor}" for minor in range(14, 7, -1))
_PYTHONS = f"python3 {_MINORS} /usr/libexec/platform-python python"
_RECENT = '"import sys; sys.exit(sys.version_info < (3, 8))"'
_PLACE = 'f="$HOME/.cache/flow/runner-$1.pyz"; '
_INSTALL = _PLACE + (
    f'umask 077; for p in {_PYTHONS}; do q=$(command -v "$p") && "$q" -c {_RECENT} >/dev/null 2>&1 && break; q=; done; '
    f'[ -n "$q" ] || exit {NO_PYTHON}; mkdir -p "$HOME/.cache/flow" || exit 1; cat >"$f.$$"; '
    f'[ "$(wc -c <"$f.$$")" -eq "$2" ] || {{ rm -f "$f.$$"; exit {INCOMPLETE}; }}; '
    'mv -f "$f.$$" "$f" && echo "$q" >"$f.$$" && mv -f "$f.$$" "$f.python"'
)
_SAY = "echo --flow--; "
# $1 hash, $2 folder, $3 where a queue puts it after the end; then what is wanted.
_PYTHON = _PLACE + (
    f'[ -r "$f.python" ] && read -r p <"$f.python" && [ -x "$p" ] && [ -r "$f" ] || exit {NOT_INSTALLED}; '
    f'd=$2; [ -d "$d" ] || d=$3; [ -d "$d" ] || exit {NO_FOLDER}; shift 3; '
)
_RUN = 'c=$1; shift; exec "$p" -I -S "$f" "$c" "$d" "$@"'
_CURSOR = (
    "import sys; sys.path.insert(0, sys.argv[1]); from runner import reader; "
    "how, folder, value = sys.argv[3], sys.argv[2], sys.argv[4]; "
    "print(reader.write_cursor(reader.tail(folder, int(value)) if how == 'tail' else "
    "reader.since(folder, float(value))))"
)
_ASK = f'exec "$p" -I -S -c "{_CURSOR}" "$f" "$d" "$@"'
# $1 the machine's folder, $2 the task; a tar on stdin. The folder is there when the machine has been set up.
_DELIVER = (
    f'umask 077; r=$1; n=$2; [ -f "$r/failed" ] && {{ cat "$r/failed" >&2; exit {SETUP_FAILED}; }}; '
    f'[ -f "$r/ready" ] || exit {NOT_READY}; rm -rf "$r/.in.$n."*; t=$r/.in.$n.$$; '
    f'mkdir "$t" && tar -xf - -C "$t" && [ -f "$t/whole" ] || {{ rm -rf "$t"; exit {INCOMPLETE}; }}; '
    'for f in "$t"/machine/*; do [ ! -e "$f" ] || mv -f "$f" "$r/" || exit 1; done; '
    'mkdir -p "$r/tasks" && { [ -d "$r/tasks/$n" ] || mv -T "$t/task" "$r/tasks/$n"; } && rm -rf "$t"'
)
# $1 folder, $2 most bytes. Code, secrets and what the task made of its folder stay there.
_FETCH = (
    f'cd "$1" || exit {NO_FOLDER}; [ "$(du -sb attempts | cut -f1)" -le "$2" ] || exit {TOO_LARGE}; {_SAY}'
    "exec tar -cf - --exclude=./code --exclude=./work --exclude=./secrets --exclude=./files --exclude=./tickets.json "
    "--exclude='./upload.*' ."
)
_PUT = (
    'd=$1; [ -d "$d" ] || d=$2; case $3 in /*) t=$3;; *) t=$d/$3;; esac; n=$t.flow.$$; umask 077; mkdir -p "${t%/*}"; '
    f'cat >"$n" && {{ [ "$(wc -c <"$n")" -eq "$5" ] || {{ rm -f "$n"; exit {INCOMPLETE}; }}; }} && '
    'chmod "$4" "$n" && mv -f "$n" "$t" || { rm -f "$n"; exit 1; }'
)


def install(archive: bytes) -> str:
    """The text that installs the runner, which it reads from stdin, and finds a Python for it."""
    return _sh(_INSTALL, name(archive), str(len(archive)))


def run(archive: bytes, folder: str, *words: str) -> str:
    """The text that runs the runner's command ``words[0]`` on the task ``folder``; its output begins with BEGIN."""
    return _sh(_PYTHON + _SAY + _RUN, name(archive), folder, _put_away(folder), *words)


def attach(archive: bytes, folder: str, *words: str) -> str:
    """As :func:`run`, for a person: without BEGIN."""
    return _sh(_PYTHON + _RUN, name(archive), folder, _put_away(folder), *words)


def cursor(archive: bytes, folder: str, how: str, value: str) -> str:
    """The text that answers with a cursor; ``how`` is ``tail`` or ``since``."""
    return _sh(_PYTHON + _SAY + _ASK, name(archive), folder, _put_away(folder), how, value)


def marked(script: str, *words: str) -> str:
    """The text that runs ``script`` with ``words``; its output begins with BEGIN."""
    return _sh(_SAY + script, *words)


def put(folder: str, target: str, mode: int, size: int) -> str:
    """The text that writes ``size`` bytes of stdin to ``target`` (relative: in the folder), by rename, only whole."""
    return _sh(_PUT, folder, _put_away(folder), target, f"{mode:o}", str(size))


def deliver(root: str, task: str) -> str:
    """The text that puts a tar from stdin in place, by rename: ``machine/*`` in ``root``, ``task`` below its tasks."""
    return _sh(_DELIVER, root, task)


def fetch(folder: str, most: int) -> str:
    """The text that sends what a task left in its folder as a tar behind BEGIN, when its logs have no more bytes."""
    return _sh(_FETCH, folder, str(most))


def name(archive: bytes) -> str:
    """What the runner's file is called by: its content."""
    return sha256(archive).hexdigest()[:16]


def archive() -> bytes:
    """The runner as the one file that travels."""
    return runner.archive()


def _put_away(folder: str) -> str:
    above, task = posixpath.split(folder.rstrip("/"))
    root, kind = posixpath.split(above)
    return record.done_dir(root, task) if kind == "tasks" else folder


def _sh(script: str, *words: str) -> str:
    return " ".join(["exec /bin/sh -c", shlex.quote(script), "flow", *(_quoted(word) for word in words)])


def _quoted(word: str) -> str:
    """Quote for any login shell; ``~/`` is the home there."""
    return '"$HOME"/' + shlex.quote(word[2:]) if word.startswith("~/") else shlex.quote(word)
