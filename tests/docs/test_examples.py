"""What README and docs show is what happens: every example is run, in a home of its own page."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from flow_core import nodes
from flow_core.settings import load
from flow_core.spec import read_file

from .pages import MEASURED, ROOT, Block, Step, blocks, needs, pages, steps, title

PATIENCE = 100.0
SHOWN_ONLY = re.compile(r"(pip install |tox\b|python -m venv |$)")
BEGUN = """
for task in ~/.local/state/flow/local/tasks/flow-*; do
    for try in $(seq 100); do
        [ -d "$task" ] && [ ! -e "$task/attempts/1/0/stdout" ] || break
        sleep 0.05
    done
done
"""
_ID = re.compile(r"\bt0[0-9a-hjkmnp-tv-z]{15}\b")
_REQUEST = re.compile(r"\bflow-[0-9a-hjkmnp-tv-z]{26}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\b")


class Reader:
    """Follows a page from the top, as somebody would who types everything in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "work", folder / "home"
        for path in (self.folder, self.home, folder / "bin"):
            path.mkdir()
        (self.folder / "examples").symlink_to(ROOT / "examples")
        program = folder / "bin" / "flow"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flow_core "$@"\n')
        program.chmod(0o755)
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR", "PYTHONPATH") if name in os.environ}
        path = os.pathsep.join([str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
        dull = {
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "TERM": "dumb",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.environ = {**kept, **dull, "PATH": path, "HOME": str(self.home)}

    def install(self, project: Path) -> None:
        """Have a plugin installed, as pip would leave it."""
        name = project.name.replace("_", "-")
        if find_spec(project.name) is not None:
            return
        site = self.home.parent / "site"
        info = site / f"{project.name}-1.0.0.dist-info"
        info.mkdir(parents=True)
        needs = "Requires-Dist: flow-core>=1,<2"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n{needs}\n")
        text = (project / "pyproject.toml").read_text("utf-8")
        entries = re.findall(r'^\[project\.entry-points\."(flow\.\w+)"\]\n([\s\S]*?)(?=^\[|\Z)', text, re.MULTILINE)
        assert entries, "no entry point"
        (info / "entry_points.txt").write_text(
            "".join(f"[{group}]\n{names.replace(chr(34), '')}" for group, names in entries)
        )
        found = os.pathsep.join([str(site), str(project / "src"), self.environ.get("PYTHONPATH", "")])
        self.environ["PYTHONPATH"] = found.rstrip(os.pathsep)

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.name:
            self._save(block)
        elif block.language == "console":
            self._type(steps(block))
        elif block.language == "python":
            done = self._start([sys.executable, "-c", block.text])
            assert done.returncode == 0, done.stdout
        elif block.language == "yaml":
            read_task(self.home.parent / "snippet.yaml", block.text)

    def _save(self, block: Block) -> None:
        """Keep a file; of one of the project's own what is shown must be a part."""
        text = block.text.partition("\n")[2]
        if block.name.startswith("examples/"):
            assert text in (ROOT / block.name).read_text("utf-8"), f"{block.name} is another now"
            return
        path = self.home / block.name[2:] if block.name.startswith("~/") else self.folder / block.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        if path.name == "config.yaml":
            load(self.folder, self.environ)
        elif block.language == "yaml" and path.name != "wrong.yaml":
            read_task(path, block.text)

    def _type(self, found: list[Step]) -> None:
        """Type the commands of one block into one shell; each must succeed unless its status is asked for next."""
        script = "".join(_typed(step.command) for step in found)
        said = self._start(["bash", "-c", script]).stdout.split("\x02")
        assert len(said) > len(found), f"the shell stopped: {said}"
        following = [step.command for step in found[1:]] + [""]
        for step, answer, after in zip(found, said, following, strict=False):
            printed, _, status = answer.rpartition("\x01")
            assert status == "0" or after.startswith("echo $?"), f"{step.command}: status {status}\n{printed}"
            if step.shown:
                assert matches(step.shown, printed), f"{step.command}\nshown:\n{step.shown}\nprinted:\n{printed}"

    def _start(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; one that takes too long is ended with all that it started."""
        process = subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, output)

    def stop(self) -> None:
        """End what a page left running."""
        if not (self.home / ".local/state/flow/journal.db").exists():
            return
        listed = self._start(["bash", "-c", "flow status --all | awk '$3 ~ /pending|provisioning|running/ {print $1}'"])
        if going := listed.stdout.split():
            self._start(["flow", "cancel", "--grace", "0", *going])


def _typed(command: str) -> str:
    """Return the lines of shell that run a command and mark its end; a reader types on when a task has begun."""
    begun = BEGUN if " -d " in command else ""
    return f"{{ {command}\n}} 2>&1\ns=$?; printf '\\001%d\\002' $s\n{begun}(exit $s)\n"


def read_task(path: Path, text: str) -> None:
    """Read a task file; what is only a part of one gets a command."""
    whole = text if re.search(r"^command:", text, re.MULTILINE) else f"{text}command: 'true'\n"
    path.write_text(whole, encoding="utf-8")
    read_file(path, providers=["local", "slurm"])
    path.write_text(text, encoding="utf-8")


def matches(shown: str, printed: str) -> bool:
    """Whether ``printed`` is as shown: ``...`` stands for anything, ids and times for any others, blanks for some."""
    pattern = r"[\s\S]*".join(re.escape(part) for part in _plain(shown).split("..."))
    return re.fullmatch(pattern.strip(), _plain(printed)) is not None


def _plain(text: str) -> str:
    for pattern, word in ((_ID, "ID"), (_REQUEST, "REQUEST"), (_TIME, "TIME")):
        text = pattern.sub(word, text)
    return "\n".join(" ".join(line.split()) for line in text.strip().split("\n"))


def marked(page: Path) -> object:
    """Return a page as a parameter; what needs torch is in the environment that has it."""
    return pytest.param(
        page, id=title(page), marks=[pytest.mark.digits, pytest.mark.timeout(600)] if "torch" in needs(page) else []
    )


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


# What needs a cluster is followed by the tests of the plugin that is about it.
FOLLOWED = [
    page for page in pages() if any(blocks(page)) and page != MEASURED and not {"environment", "cluster"} & needs(page)
]


@pytest.mark.parametrize("page", [marked(page) for page in FOLLOWED])
def test_every_example_of_a_page_does_what_it_shows(page: Path, reader: Reader) -> None:
    if "mounts" in needs(page) and nodes.mounts_impossible():
        pytest.skip(f"no mounts here: {nodes.mounts_impossible()}")
    if "toy" in needs(page):
        reader.install(ROOT / "examples" / "flow_toy")
    if "scripts" in needs(page):
        reader.install(ROOT / "plugins" / "flow_slurm")
    for block in blocks(page):
        try:
            reader.follow(block)
        except Exception as error:
            raise AssertionError(f"{title(page)}:{block.line}: {error}") from error


@pytest.mark.parametrize("page", [page for page in pages() if page != MEASURED], ids=title)
def test_what_is_only_shown_needs_more_than_flow(page: Path) -> None:
    for block in blocks(page):
        assert block.language in ("console", "python", "yaml", "sh", "text", "toml", "json"), block
        if block.language == "sh":
            assert all(SHOWN_ONLY.match(line) for line in block.text.split("\n")), f"line {block.line}: use console"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("hello", "hello\n", True),
        ("hello", "hello world", False),
        ("a ... c", "a b b c", True),
        ("a\n...\nc", "a\nb\nb\nc", True),
        ("a\n...", "b\na", False),
        ("t01m849tj2gzqhx25  ok", "t01m849tjbcqg32vt ok", True),
        ("2026-11-23T13:34:15Z", "2026-11-24T00:00:00Z", True),
        ("exit code 1", "exit code 2", False),
    ],
)
def test_the_comparison_sees_what_differs(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_a_command_that_fails_unseen_is_noticed(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="status 3"):
        reader.follow(Block("console", "$ (exit 3)\n", 1, ""))


def test_a_status_that_is_asked_for_may_be_any(reader: Reader) -> None:
    reader.follow(Block("console", "$ (exit 3)\n$ echo $?\n3\n", 1, ""))


def test_a_page_sees_nothing_of_this_machines_flow(reader: Reader) -> None:
    assert not [name for name in reader.environ if name.startswith("FLOW_")]
    reader.follow(Block("console", "$ flow status\n$ flow config path\n.../home/.config/flow/config.yaml\n", 1, ""))
