"""What is wrong with installed plugins: each is imported in a process of its own, which is all it can break."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from flow_core.plugins._discover import GROUPS, Catalog, Plugin
from flow_core.types import DoctorCheck

SLOW_IMPORT = 0.3  # seconds
_PATIENCE = 60.0  # seconds until an import counts as hanging
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from flow_core.plugins._probe import main; main(sys.argv[2], sys.argv[3])"
)


@attrs.frozen
class Probe:
    """What came of importing a plugin: ``seconds`` it took, the ``hooks`` it implements, ``error`` or an empty text.

    ``settings`` has, by name, each setting's ``type``, ``default``, ``help`` and variable (``env``), as text.
    """

    seconds: float = 0.0
    hooks: tuple[str, ...] = ()
    error: str = ""
    settings: Mapping[str, Mapping[str, str]] = {}


def examine(catalog: Catalog, core_commands: Collection[str] = ()) -> Iterator[DoctorCheck]:
    """Yield a finding for every installed plugin; ``core_commands`` are names that no plugin's command can have."""
    for kind in GROUPS:
        for plugin in catalog.plugins(kind).values():
            yield diagnose(plugin, core_commands)


def diagnose(plugin: Plugin, core_commands: Collection[str] = ()) -> DoctorCheck:
    """Return the finding for one plugin, with the mend."""
    name = str(plugin)
    if problem := plugin.problem():
        return DoctorCheck(name, "error", problem, _mend(problem, plugin))
    if plugin.kind == "command" and plugin.name in core_commands:
        message = f"flow has a command {plugin.name!r} of its own, so this one is never used"
        return DoctorCheck(name, "error", message, f"tell the authors of {plugin.distribution} to rename it")
    found = probe(plugin)
    if found.error:
        return DoctorCheck(name, "error", found.error, _mend(found.error, plugin))
    if found.seconds > SLOW_IMPORT:
        message = f"takes {found.seconds * 1000:.0f} ms to import"
        mend = f"tell the authors of {plugin.distribution} to import what is heavy inside the functions that need it"
        return DoctorCheck(name, "warning", message, mend)
    hooks = f", {len(found.hooks)} hooks" if found.hooks else ""
    return DoctorCheck(name, "ok", f"imports in {found.seconds * 1000:.0f} ms{hooks}")


def probe(plugin: Plugin) -> Probe:
    """Import ``plugin`` in a process of its own and say what came of it; it sees the same packages as this one."""
    argv = [sys.executable, "-I", "-c", _START, json.dumps(sys.path), plugin.kind, plugin.name]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return Probe(_PATIENCE, error=f"has not been imported after {_PATIENCE:g} s")
    answer = _answer(done.stdout)
    if done.returncode or answer is None:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        said = words[-1] if words else "it said nothing"
        return Probe(error=f"ends Python while it is imported (status {done.returncode}): {said}")
    return Probe(answer["seconds"], tuple(answer["hooks"]), answer["error"], answer["settings"])


def _answer(output: bytes) -> dict[str, Any] | None:
    """Return the last line's JSON; a plugin may print when it is imported."""
    try:
        found = json.loads(output.decode(errors="replace").strip().rpartition("\n")[2])
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"seconds", "hooks", "settings", "error"} <= set(found) else None


def _mend(problem: str, plugin: Plugin) -> str:
    if "also provides" in problem:
        return "uninstall one of them"
    if "needs flow-core" in problem:
        return f"pip install --upgrade flow-core {plugin.distribution}"
    if "dependency" in problem:
        return f"pip install {problem.split(chr(39))[1]}, or reinstall {plugin.distribution}"
    name = plugin.distribution
    return f"tell the authors of {name}; FLOW_DISABLE_PLUGINS={name} leaves it out until then"
