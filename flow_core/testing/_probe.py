"""What importing, opening and using a plugin does to the process that does it, seen from a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from flow_core.plugins import Plugin
    from flow_core.testing._bench import Bench

_SETTLE = 3.0  # seconds that threads of a call have to end
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ACTS = (
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"),
    *("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"),
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.symlink", "os.link"),
)


@attrs.frozen
class Probe:
    """``acts`` on the world outside (files written, sockets, processes), ``changes`` of the process, ``seconds``."""

    acts: list[str]
    changes: list[str]
    seconds: float

    @classmethod
    def of(cls, bench: Bench, kind: str, name: str, stage: str, settings: Mapping[str, object] | None = None) -> Probe:
        """Return what ``stage`` (import, open, use) of a plugin does."""
        from flow_core.testing._bench import child_environment

        words = (kind, name, stage, json.dumps(dict(settings or {})))
        argv = [sys.executable, "-B", "-m", "flow_core.testing._probe", *words]
        done = subprocess.run(
            argv, cwd=bench.work, env=child_environment(), capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{stage} of the plugin failed in a process of its own:\n{done.stderr.decode()}"
        return cls(**json.loads(done.stdout.decode().strip().rpartition("\n")[2]))


def main(kind: str, name: str, stage: str, settings: Mapping[str, object]) -> None:
    """Print the probe of one stage as the last line of stdout."""
    import logging

    import flow_core.client
    import flow_core.hookspecs
    import flow_core.settings  # noqa: F401 - what core brings is not the plugin's doing
    from flow_core.plugins import Catalog

    plugin = Catalog({}).plugin(kind, name)
    acts: list[str] = []
    watching = [False]
    _BEGIN[stage](plugin, settings)
    sys.addaudithook(lambda event, details: _note(acts, event, details) if watching[0] else None)
    before, started, watching[0] = _state(logging), _own_seconds(), True
    _STAGES[stage](plugin, settings)
    watching[0], seconds = False, _own_seconds() - started
    found = {"acts": acts, "changes": list(_changes(before, logging)), "seconds": seconds}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def _own_seconds() -> float:
    """Return the time without what this thread waited for a processor that others had, where the kernel tells."""
    now = time.perf_counter()
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as file:
            return now - int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return now


def _load(plugin: Plugin, _settings: Mapping[str, object]) -> None:
    plugin.load()


def _open(plugin: Plugin, settings: Mapping[str, object]) -> None:
    from flow_core.testing._opened import open_instance

    open_instance(plugin, settings)


def _use(_plugin: Plugin, _settings: Mapping[str, object]) -> None:
    from flow_core.client import Flow

    flow = Flow(cwd=os.getcwd())
    task = flow.submit("echo out; exit 3")
    list(task.logs(follow=True))
    task.wait(timeout=60)
    task.cancel()
    flow.submit("true").wait(timeout=60)


def _nothing(_plugin: Plugin, _settings: Mapping[str, object]) -> None:
    return


def _open_before(plugin: Plugin, settings: Mapping[str, object]) -> None:
    """Have everything imported: only the instance is looked at."""
    from flow_core.settings import Profile, build
    from flow_core.testing import _opened  # noqa: F401

    cls = plugin.load()
    if getattr(cls, "Settings", None) is not None:
        build(cls.Settings, Profile(plugin.name, plugin.name, values=settings, environ=dict(os.environ)))


_STAGES = {"import": _load, "open": _open, "use": _use}
_BEGIN = {"import": _nothing, "open": _open_before, "use": _nothing}


def _note(acts: list[str], event: str, details: tuple[Any, ...]) -> None:
    if event in _ACTS or (event == "open" and _writes(details)):
        acts.append(f"{event} {details[:2]!r}"[:300])


def _writes(details: tuple[Any, ...]) -> bool:
    path, mode, flags = (*details, None, None, None)[:3]
    if path == os.devnull:
        return False
    return bool(isinstance(mode, str) and set(mode) & set("wax+")) or bool(isinstance(flags, int) and flags & _WRITING)


def _state(logging: Any) -> dict[str, Any]:
    import socket
    import warnings

    umask = os.umask(0o77)
    os.umask(umask)
    return {
        "working directory": os.getcwd(),
        "umask": umask,
        "environment": dict(os.environ),
        "signal handlers": {number: repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())},
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "child processes": sorted(_children()),
        "root logger": [repr(logging.getLogger().handlers), logging.getLogger().level],
        "warning filters": len(warnings.filters),
        "socket timeout": socket.getdefaulttimeout(),
        "sys.excepthook": repr(sys.excepthook),
        "sys.stdout": repr(sys.stdout),
    }


def _children() -> Iterator[str]:
    for path in Path("/proc/self/task").glob("*/children"):
        yield from path.read_text(encoding="ascii").split()


def _changes(before: Mapping[str, Any], logging: Any) -> Iterator[str]:
    deadline = time.monotonic() + _SETTLE
    while (after := _state(logging)) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    for what, now in after.items():
        if now != before[what]:
            yield f"{what}: {_difference(before[what], now)}"


def _difference(old: Any, new: Any) -> str:
    if isinstance(old, dict):
        keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        return ", ".join(f"{key} {old.get(key)!r} -> {new.get(key)!r}" for key in keys)
    return f"{old!r} -> {new!r}"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
