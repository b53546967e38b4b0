"""The command line as a process of its own, with its own home; and in this process, where that is enough."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from flow_core.cli import run

PATIENCE = 30.0


@attrs.frozen
class Answer:
    """What a command line gave."""

    status: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line of stderr."""
        return self.err.rstrip("\n").rpartition("\n")[2]

    @property
    def envelope(self) -> Any:
        """The one envelope on stdout."""
        return json.loads(self.out)

    @property
    def data(self) -> Any:
        """What the envelope holds."""
        return self.envelope["data"]


@attrs.frozen
class Program:
    """``python -m flow_core`` in a folder, with a home and an environment of its own."""

    folder: Path
    environ: Mapping[str, str]

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command line with pipes."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        argv = [sys.executable, "-m", "flow_core", *arguments]
        return subprocess.Popen(argv, cwd=self.folder, env=dict(self.environ), **{**pipes, **options})

    def __call__(self, *arguments: str, text: str | None = None, **environ: str) -> Answer:
        """Run a command line to its end; ``text`` is its stdin."""
        done = subprocess.run(
            [sys.executable, "-m", "flow_core", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            input=None if text is None else text.encode(),
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def submit(self, command: str, *arguments: str) -> str:
        """Submit a shell command and return its id."""
        answer = self("run", "-d", *arguments, command)
        assert answer.status == 0, answer.err
        return answer.out.strip()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of this machine's Flow is seen."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLOW_", "_FLOW_"))}
    dull = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "TERM": "xterm", "COLUMNS": "120"}
    return {**kept, **dull, "FLOW_HOME": str(tmp_path / "home")}


@pytest.fixture
def flow(tmp_path: Path, environ: dict[str, str]) -> Iterator[Program]:
    """The program; tasks that are still going at the end of a test are cancelled."""
    folder = tmp_path / "work"
    folder.mkdir()
    program = Program(folder, environ)
    yield program
    if (tmp_path / "home" / "state" / "journal.db").exists():
        rows = program("status", "--all", "--json").data
        going = [row["id"] for row in rows if row["status"] in ("pending", "provisioning", "running")]
        if going:
            program("cancel", "--grace", "0", *going)


@pytest.fixture
def here(
    tmp_path: Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Answer]:
    """The command line in this process."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(("FLOW_", "_FLOW_"))]:
        monkeypatch.delenv(name)
    for name in ("FLOW_HOME", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.setenv(name, environ[name])

    def call(*arguments: str) -> Answer:
        capfd.readouterr()
        status = run(arguments)
        out, err = capfd.readouterr()
        return Answer(status, out, err)

    return call


@attrs.frozen
class Site:
    """A folder of distributions, as pip leaves them."""

    folder: Path

    def install(
        self,
        name: str,
        entry_points: Mapping[str, Mapping[str, str]],
        modules: Mapping[str, str],
        requires: Sequence[str] = ("flow-core>=1,<2",),
        summary: str = "A plugin of the tests.",
    ) -> None:
        """Install a distribution, version 1.2, with its modules."""
        info = self.folder / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\nSummary: {summary}\n{needs}"
        )
        groups = (
            f"[{group}]\n" + "".join(f"{word} = {value}\n" for word, value in entries.items())
            for group, entries in entry_points.items()
        )
        (info / "entry_points.txt").write_text("\n".join(groups))
        for module, source in modules.items():
            (self.folder / f"{module}.py").write_text(textwrap.dedent(source))


@pytest.fixture
def site(tmp_path: Path, environ: dict[str, str]) -> Site:
    """A folder for plugins that :func:`flow` sees."""
    folder = tmp_path / "site"
    folder.mkdir()
    environ["PYTHONPATH"] = str(folder)
    return Site(folder)
