"""The task's place from outside: commands and files beside it."""

import os
import sys
from typing import Callable, Dict, List

from . import bundle as bundles, containers, places
from .beside import beside
from .bundle import BundleError
from .environment import read_secrets, working_dir
from .record import attempt_dir, attempts

_BLOCK = 1 << 20
_REFUSED = 125  # as env(1) has it for what it did not start


def execute(folder: str, rank: int, words: List[str]) -> int:
    """Replace this process by a command with the task's environment in its working directory."""
    folder = os.path.abspath(folder)
    argv = words[1:] if words[:1] == ["--"] else words
    try:
        bundle = bundles.read(folder)
        attempt = (attempts(folder) or [bundle.first_attempt])[-1]
        started = beside(folder, bundle, attempt, rank, _gpus(folder), argv)
        os.chdir(started.cwd)
    except BundleError as error:
        sys.stderr.write("flow: exec: %s\n" % error)
        return _REFUSED
    # Not marked as the task's: it is not ended with it.
    del started.env["FLOW_TASK_DIR"]
    try:
        os.execvpe(started.argv[0], started.argv, started.env)
    except OSError as error:
        sys.stderr.write("flow: exec: %s: %s\n" % (started.argv[0], error.strerror))
        return 127 if isinstance(error, FileNotFoundError) else 126


def ports(folder: str, rank: int) -> "Dict[str, int]":
    """The ports of a rank by name; empty before it has begun. Raises BundleError."""
    bundle = bundles.read(folder)
    begun = [number for number in attempts(folder) if os.path.isdir(attempt_dir(folder, number, rank))]
    return places.ports(folder, bundle, begun[-1], rank) if begun else {}


def _gpus(folder: str) -> "list[str] | None":
    from .record import read_json

    found = read_json(folder + "/grant.json")
    return None if found is None else [str(gpu) for gpu in found["gpus"]]


def _tell(record: str, why: str) -> None:
    """Say in the exit record that the command never ran: its exit code is not the task's own."""
    fd = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    os.write(fd, ("r failed %s\n" % " ".join(why.split())).encode())
    os.close(fd)


def enter(folder: str, words: List[str]) -> int:
    """Set up the task's mounts, then replace this process by the command.

    ``words``: the exit record to write to when that cannot be done (left out beside a task), ``--``, the command.
    """
    from .mounts import MountError, enter as mount

    at = words.index("--")
    argv = words[at + 1 :]
    try:
        mount(bundles.read(folder).mounts, read_secrets(folder))
    except (BundleError, MountError) as error:
        sys.stderr.write("flow: %s\n" % error)
        for record in words[:at]:
            _tell(record, str(error))
        return _REFUSED
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write("flow: %s: %s\n" % (argv[0], error.strerror))
        return 127 if isinstance(error, FileNotFoundError) else 126


def contain(folder: str, argv: List[str]) -> int:
    """Replace this process by the engine that runs the command in a container."""
    return _become(folder, lambda bundle, env, cwd: containers.running(folder, bundle, env, cwd, argv))


def join(folder: str, argv: List[str]) -> int:
    """Replace this process by the engine that runs the command beside what runs in the rank's container."""
    attach = ["--interactive", "--tty"] if sys.stdin.isatty() else ["--interactive"]
    return _become(folder, lambda bundle, env, cwd: containers.beside(folder, bundle, env, cwd, argv, attach))


def _become(folder: str, how: "Callable[[bundles.Bundle, Dict[str, str], str], containers.Start]") -> int:
    try:
        bundle = bundles.read(folder)
        start = how(bundle, dict(os.environ), working_dir(folder, bundle))
        os.execve(start.argv[0], start.argv, start.env)
    except BundleError as error:
        sys.stderr.write("flow: %s\n" % error)
    except OSError as error:
        sys.stderr.write("flow: the container engine cannot be started: %s\n" % error)
    return _REFUSED


def inside(folder: str, path: str) -> str:
    """A path relative to where the task's command starts, or an absolute one as it is."""
    try:
        base = working_dir(folder, bundles.read(folder))
    except BundleError:
        base = folder
    return os.path.join(base, os.path.expanduser(path))


def get(folder: str, path: str) -> int:
    """Write a file to stdout."""
    with open(inside(folder, path), "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    return 0
