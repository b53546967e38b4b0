"""The login node by ssh: Slurm's commands and the tasks' folders there, over one connection."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from flow_core import NodeAccess, NotFoundError, StateError, Submission, TaskListing, TaskReport, nodes
from flow_core.nodes import document, parse_report
from flow_slurm._folders import ABANDONED, Runner, write
from flow_slurm._jobs import last_words
from flow_slurm._refs import Name
from flow_slurm._settings import SlurmSettings
from flow_slurm._shell import Done

_MANY = 400  # folders named in one command line
_ROOT = 'umask 077; mkdir -p "$1" && cd "$1" && pwd -P'
# Whole or not at all: what is cut does not unpack, and the rename is the acceptance.
_STAGE = (
    'cd "$1" || exit; [ ! -d "$2" ] || { cat >/dev/null; exit 0; }; umask 077; n=.$2.$$.new; '
    'mkdir "$n" && tar -xzf - -C "$n" && { mv -T "$n" "$2" 2>/dev/null || { rm -rf "$n"; [ -d "$2" ]; }; } || '
    '{ rm -rf "$n"; exit 73; }'
)
_JOB = 'cat "$1/job" && stat -c %Y "$1/job"'
_SWEEP = 'cd "$1" && [ ! -s "$2/job" ] && find "$2" .*.new -maxdepth 0 -mmin +$3 -exec rm -rf {} + 2>/dev/null || :'
_LIST = 'cd "$1" 2>/dev/null || exit 0; for d in flow-*; do [ -s "$d/job" ] || continue; cat "$d/job" "$d/bundle.json"; echo; done'


def access(settings: SlurmSettings, path: str = "/", rank: int = 0) -> NodeAccess:
    """Return how the profile's login node is reached. Its host key is one that is given, or that the user's ssh knows."""
    user, _, host = (settings.ssh or "").rpartition("@")
    name, _, port = host.partition(":")
    return NodeAccess(
        rank=rank,
        kind="ssh",
        path=path,
        host=name,
        port=int(port or 22),
        user=user or None,
        host_keys=settings.host_keys,
        jump=settings.jump,
        identity_file=settings.identity_file,
    )


class SshShell:
    """Runs shell texts on the login node; ``prepare`` is run before each."""

    def __init__(self, host: nodes.SshHost, prepare: str) -> None:
        self._host = host
        self._prepare = f"export SLURM_TIME_FORMAT=%s\n{prepare}\n"

    def run(self, script: str, *words: str, seconds: float = 25.0) -> Done:
        """See :meth:`Shell.run`."""
        return _done(self._host.run(self._prepare + script, *words, seconds=seconds))


def _done(found: subprocess.CompletedProcess[bytes]) -> Done:
    return Done(found.returncode, found.stdout.decode("utf-8", "replace"), found.stderr.decode("utf-8", "replace"))


class SshFolders:
    """As :class:`LocalFolders`, on the login node."""

    def __init__(self, host: nodes.SshHost, settings: SlurmSettings) -> None:
        self._host, self._settings = host, settings

    @cached_property
    def root(self) -> str:
        """The folder that holds all others, as it is called there."""
        return self._run(_ROOT, self._settings.root).strip()

    def path(self, request_id: str) -> str:
        """Where a task's folder is."""
        return f"{self.root}/{request_id}"

    def install_runner(self) -> str:
        """See :meth:`LocalFolders.install_runner`."""
        name = self._runner.name
        if self._host.run('[ -d "$1" ]', self.path(name)).returncode:
            with tempfile.TemporaryDirectory() as place:
                self._runner.unpack(Path(place) / name)
                self._send(Path(place) / name, self.root, name, {})
        return self.path(name)

    @cached_property
    def _runner(self) -> Runner:
        return Runner()

    def stage(self, submission: Submission, files: Mapping[str, str]) -> str:
        """See :meth:`LocalFolders.stage`."""
        with tempfile.TemporaryDirectory() as place:
            folder = nodes.stage(Path(place), submission)
            (folder / "control").mkdir(mode=0o700)
            self._send(folder, self.root, submission.request_id, files)
        return self.path(submission.request_id)

    def stage_array(self, name: str, files: Mapping[str, str]) -> str:
        """See :meth:`LocalFolders.stage_array`."""
        above = self._run(_ROOT, f"{self.root}/arrays").strip()
        with tempfile.TemporaryDirectory() as place:
            self._send(Path(place), above, name, files)
        return f"{above}/{name}"

    def _send(self, folder: Path, above: str, name: str, files: Mapping[str, str]) -> None:
        for file, text in files.items():
            write(folder / file, text.encode(), 0o700)
        self._run(_STAGE, above, name, stdin=_packed(folder))

    def read(self, request_id: str, name: str) -> str:
        """See :meth:`LocalFolders.read`."""
        return _done(self._host.run('cat "$1" 2>/dev/null', f"{self.path(request_id)}/{name}")).out

    def remove(self, request_id: str) -> None:
        """See :meth:`LocalFolders.remove`."""
        self._run('rm -rf "$1"', self.path(request_id))

    def report(self, request_id: str) -> TaskReport | None:
        """See :meth:`LocalFolders.report`."""
        return self.reports([request_id])[request_id]

    def reports(self, request_ids: Sequence[str]) -> dict[str, TaskReport | None]:
        """See :meth:`LocalFolders.reports`; a few hundred in one command."""
        found: dict[str, TaskReport | None] = {}
        for at in range(0, len(request_ids), _MANY):
            names = request_ids[at : at + _MANY]
            said = self._host.ask(self.root, "reports", *map(self.path, names)).stdout.decode().splitlines()[1:]
            for name, line in zip(names, said, strict=True):
                report = json.loads(line)
                found[name] = None if report is None else parse_report(report)
        return found

    def conclude(self, request_id: str, report: TaskReport) -> None:
        """See :meth:`LocalFolders.conclude`."""
        self._host.ask(self.path(request_id), "conclude", json.dumps(document(report)))

    def job(self, request_id: str) -> tuple[str, float] | None:
        """See :meth:`LocalFolders.job`."""
        done = _done(self._host.run(_JOB, self.path(request_id)))
        lines = done.out.split()
        return (lines[0].partition(";")[0], float(lines[1])) if len(lines) == 2 else None

    def cancel(self, request_id: str, grace_seconds: float) -> bool:
        """See :meth:`LocalFolders.cancel`."""
        return self._host.ask(self.path(request_id), "cancel", repr(grace_seconds), fine=(0, 1)).returncode == 0

    def cancelled_at(self, request_id: str) -> float | None:
        """See :meth:`LocalFolders.cancelled_at`."""
        said = _done(self._host.run('stat -c %Y "$1/control/cancel"', self.path(request_id))).out.strip()
        return float(said) if said.isdigit() else None

    def access(self, request_id: str) -> list[NodeAccess]:
        """See :meth:`LocalFolders.access`: all ranks are reached through the login node."""
        done = _done(self._host.run('cat "$1/bundle.json"', self.path(request_id)))
        if done.code:
            raise NotFoundError(f"there is no task folder {self.path(request_id)}", "see what there is: flow status")
        count = int(json.loads(done.out).get("num_instances") or 1)
        return [access(self._settings, self.path(request_id), rank) for rank in range(count)]

    def listings(self) -> Iterator[TaskListing]:
        """See :meth:`LocalFolders.listings`."""
        lines = iter(self._run(_LIST, self.root).splitlines())
        for job, text in zip(lines, lines, strict=False):
            found = json.loads(text)
            yield TaskListing(
                ref=Name(job.partition(";")[0], str(found["request_id"])).ref,
                request_id=str(found["request_id"]),
                task_id=str(found["task_id"]),
                name=str(found["name"]),
                created_at=float(found["created_at"]),
                config=found["config"],
            )

    def sweep(self, request_id: str) -> None:
        """See :meth:`LocalFolders.sweep`."""
        self._run(_SWEEP, self.root, request_id, f"{ABANDONED / 60:.0f}")

    def _run(self, script: str, *words: str, stdin: bytes | None = None) -> str:
        done = _done(self._host.run(script, *words, stdin=stdin))
        if done.code:
            text = f"cannot write in {self._settings.root} on {self._host.name}: {last_words(done.err)}"
            raise StateError(text, "free some space, or choose another root")
        return done.out


def _packed(folder: Path) -> bytes:
    room = io.BytesIO()
    with tarfile.open(fileobj=room, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, ".", filter=_nobodys)
    return room.getvalue()


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
