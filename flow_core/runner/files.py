"""The task's place from outside: commands and files beside it."""

import os
import sys
from typing import List

from . import bundle as bundles
from .bundle import BundleError
from .environment import environment, working_dir
from .launch import command
from .places import place, ports
from .record import attempts

_BLOCK = 1 << 20


def execute(folder: str, rank: int, words: List[str]) -> int:
    """Replace this process by a command with the task's environment in its working directory."""
    folder = os.path.abspath(folder)
    argv = words[1:] if words[:1] == ["--"] else words
    try:
        bundle = bundles.read(folder)
        attempt = (attempts(folder) or [bundle.first_attempt])[-1]
        where = place(folder, bundle, attempt, range(bundle.num_instances), _gpus(folder))
        if where is None:
            raise BundleError("the task has not started yet: try again")
        env = environment(folder, bundle, attempt, rank, where)
        env.update(ports(folder, bundle, attempt, rank))
        os.chdir(working_dir(folder, bundle))
    except BundleError as error:
        sys.stderr.write("flow: exec: %s\n" % error)
        return 125
    # Not marked as the task's: it is not ended with it.
    del env["FLOW_TASK_DIR"]
    if bundle.mounts:
        argv = command("enter", folder, "--", *argv)
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        sys.stderr.write("flow: exec: %s: %s\n" % (argv[0], error.strerror))
        return 127 if isinstance(error, FileNotFoundError) else 126


def _gpus(folder: str) -> "list[str] | None":
    from .record import read_json

    found = read_json(folder + "/grant.json")
    return None if found is None else [str(gpu) for gpu in found["gpus"]]


def enter(folder: str, argv: List[str]) -> int:
    """Set up the task's mounts, then replace this process by the command."""
    from .mounts import enter as mount

    mount(bundles.read(folder).mounts)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.stderr.write("flow: %s: %s\n" % (argv[0], error.strerror))
        return 127 if isinstance(error, FileNotFoundError) else 126


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
