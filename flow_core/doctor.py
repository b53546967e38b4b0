"""What may be wrong with Flow on this machine: findings, each with its mend."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flow_core.errors import ConfigError, FlowError
from flow_core.types import DoctorCheck

if TYPE_CHECKING:
    from flow_core.client import Flow
    from flow_core.types import Submission

_RUNNER_SECONDS = 30.0
_NAME = "flow"


def examine(flow: Flow, core_commands: Sequence[str] = ()) -> Iterator[DoctorCheck]:
    """Yield one finding after the other; a check that fails by itself is a finding too. Changes nothing.

    A damaged journal is the exception: it is set aside, as any other use of it would do.
    """
    told: set[str] = set()
    for name, check in _checks(flow, core_commands):
        try:
            yield from check()
        except FlowError as error:
            if str(error) not in told:  # settings that cannot be read stop more than one check
                yield DoctorCheck(name, "error", _in_one_line(error), error.hint)
            told.add(str(error))
        except Exception as error:  # the doctor says what it can
            yield DoctorCheck(
                name, "error", f"{type(error).__name__}: {error}", "report this with what FLOW_DEBUG=1 shows"
            )


def _in_one_line(error: FlowError) -> str:
    problems = error.problems if isinstance(error, ConfigError) else ()
    return ": ".join(part for part in (error.message, "; ".join(map(str, problems))) if part)


def _checks(flow: Flow, core_commands: Sequence[str]) -> Iterator[tuple[str, Callable[[], Iterator[DoctorCheck]]]]:
    yield "python", _python
    yield "name", _import_name
    yield "program", _program
    yield "settings", lambda: _settings(flow)
    yield "state folder", lambda: _state_folder(flow)
    yield "journal", lambda: _journal(flow)
    yield "provider", lambda: _providers(flow)
    yield "plugins", lambda: _plugins(flow, core_commands)
    yield "host plugins", lambda: iter(flow.session.host.doctor_checks())
    yield "runner", _runner


def _python() -> Iterator[DoctorCheck]:
    from flow_core.plugins._metadata import core_version

    version = ".".join(map(str, sys.version_info[:3]))
    yield DoctorCheck("python", "ok", f"flow-core {core_version()} on Python {version}, {sys.executable}")


def _import_name() -> Iterator[DoctorCheck]:
    """Other distributions are called by this name too, and the one installed last has it."""
    from importlib.util import find_spec

    mend = "use `import flow_core as flow`, or uninstall the other distribution and reinstall flow-core"
    spec = find_spec(_NAME)
    if spec is None or spec.origin is None:
        yield DoctorCheck("import flow", "warning", "there is no module of that name", mend)
    elif Path(spec.origin).parent.parent != Path(__file__).parent.parent:
        yield DoctorCheck("import flow", "warning", f"is not ours: {spec.origin}{_owners()}", mend)
    else:
        yield DoctorCheck("import flow", "ok", spec.origin)


def _owners() -> str:
    from importlib_metadata import packages_distributions

    others = sorted({name for name in packages_distributions().get(_NAME, ()) if name != "flow-core"})
    return f" (of {', '.join(others)})" if others else ""


def _program() -> Iterator[DoctorCheck]:
    mend = f"use `{sys.executable} -m flow_core`, or put {Path(sys.executable).parent} first on PATH"
    found = shutil.which(_NAME)
    if found is None:
        yield DoctorCheck("program flow", "warning", "there is none on PATH", mend)
    elif b"flow_core" not in _head(Path(found)):
        yield DoctorCheck("program flow", "warning", f"{found} on PATH is not ours", mend)
    elif not _is_here(Path(found)):
        yield DoctorCheck(
            "program flow", "warning", f"{found} on PATH belongs to another Python than {sys.executable}", mend
        )
    else:
        yield DoctorCheck("program flow", "ok", found)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 16)
    except OSError:
        return b""


def _is_here(program: Path) -> bool:
    """Whether the script is started by this Python: it names it, or lies beside it."""
    return os.fsencode(sys.executable) in _head(program) or program.parent == Path(sys.executable).parent


def _settings(flow: Flow) -> Iterator[DoctorCheck]:
    settings = flow.session.settings
    file = settings.paths.config_file
    message = f"{file}, {len(settings.profiles)} profiles" if file.exists() else f"there is no {file}, which is fine"
    yield DoctorCheck("settings", "ok", message)


def _state_folder(flow: Flow) -> Iterator[DoctorCheck]:
    from flow_core.journal._file import is_remote
    from flow_core.settings import paths

    folder = paths(flow.session.environ).state_dir
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".flow-doctor-"):
            pass
    except OSError as error:
        yield DoctorCheck(
            "state folder",
            "error",
            f"{there} cannot be written: {error.strerror}",
            "make it writable for you, or set FLOW_HOME",
        )
        return
    if there == folder and folder.stat().st_mode & 0o077:
        yield DoctorCheck("state folder", "warning", f"others can look into {folder}", f"chmod 700 {folder}")
    elif is_remote(there):
        mend = "set FLOW_HOME to a folder on a local disk if commands are slow"
        yield DoctorCheck("state folder", "warning", f"{folder} is on a network file system", mend)
    else:
        yield DoctorCheck("state folder", "ok", str(folder))


def _journal(flow: Flow) -> Iterator[DoctorCheck]:
    from flow_core.settings import paths

    if not (paths(flow.session.environ).state_dir / "journal.db").exists():
        yield DoctorCheck("journal", "ok", "empty: nothing was submitted yet")
        return
    journal = flow.session.journal
    damage = journal.check()
    if damage or journal.quarantined:
        mend = f"it was set aside as {journal.quarantined}; tasks that run go on"
        yield DoctorCheck("journal", "error", f"{journal.path} is damaged: {damage or 'not a journal'}", mend)
        return
    counts = journal.counts()
    shown = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no tasks"
    yield DoctorCheck("journal", "ok", f"{journal.path}: {shown}")


def _providers(flow: Flow) -> Iterator[DoctorCheck]:
    names = flow.provider_names()
    if not names:
        yield DoctorCheck(
            "provider", "error", "no provider is installed, so nothing can run", "pip install the package of one"
        )
        return
    profile = flow.session.choose(None)
    provider = flow.session.provider(profile)
    yield DoctorCheck("provider", "ok", f"{profile.name} is used by default (installed: {', '.join(names)})")
    if "flow_auth_check" in provider.supports:
        identity = provider.auth_check()
        yield DoctorCheck("login", "ok", f"{identity.user} on {profile.name}")
    yield from provider.checks()


def _plugins(flow: Flow, core_commands: Sequence[str]) -> Iterator[DoctorCheck]:
    from flow_core.plugins._doctor import examine

    findings = list(examine(flow.session.catalog, core_commands))
    bad = [finding for finding in findings if finding.status != "ok"]
    yield from bad
    if not bad:
        yield DoctorCheck("plugins", "ok", f"{len(findings)} installed, nothing wrong with them")


def _runner() -> Iterator[DoctorCheck]:
    """Run a task of its own in a folder that is removed again."""
    import subprocess

    from flow_core import nodes
    from flow_core.runner import command

    with tempfile.TemporaryDirectory(prefix="flow-doctor-") as root:
        folder = nodes.stage(Path(root), _submission(Path(root)))
        started = time.perf_counter()
        argv = command("run", str(folder), "0")
        done = subprocess.run(argv, capture_output=True, timeout=_RUNNER_SECONDS, check=False)
        seconds = time.perf_counter() - started
        report = nodes.report(folder)
    if report.state == "succeeded":
        yield DoctorCheck("runner", "ok", f"ran a task in {seconds * 1000:.0f} ms")
        return
    said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or report.reason
    yield DoctorCheck(
        "runner",
        "error",
        f"a task that runs `true` ended {report.state}: {said}",
        "is /bin/sh there and may this folder be executed from?",
    )


def _submission(root: Path) -> Submission:
    from flow_core.bundle import build
    from flow_core.types import CodeSpec, ProviderFacts, Submission, TaskConfig, new_request_id, new_task_id

    config, request_id, task_id = TaskConfig(command="true", code=CodeSpec("none")), new_request_id(), new_task_id()
    bundle = build(
        config,
        task_id=task_id,
        request_id=request_id,
        name="doctor",
        facts=ProviderFacts(),
        secrets={},
        cwd=root,
        created_at=time.time(),
    )
    return Submission(request_id, task_id, "doctor", "doctor", config, bundle)
