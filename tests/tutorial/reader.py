"""Follows the tutorial for authors of providers, block by block, as somebody would who types everything in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial-provider.md"
PATIENCE = 300.0
_FENCE = re.compile(r"^```(console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"\bt0[0-9a-hjkmnp-tv-z]{15}\b")

PIP = """#!{python}
\"\"\"Installs an editable project without a network: metadata, and a link to its package.\"\"\"
import pathlib, sys
if "-e" not in sys.argv:
    sys.exit(0)  # flow-core is there already
project = pathlib.Path(sys.argv[-1].partition("[")[0])
lines = (project / "pyproject.toml").read_text().split("\\n")
at = next(n for n, line in enumerate(lines) if line.startswith('[project.entry-points."'))
group, point = lines[at].split('"')[1], lines[at + 1].partition("  #")[0].replace('"', "")
summary = next(line.split('"')[1] for line in lines if line.startswith("description"))
site, name = pathlib.Path({site!r}), project.name.replace("-", "_")
info = site / (name + "-0.1.0.dist-info")
info.mkdir()
head = "Metadata-Version: 2.1\\nName: " + project.name + "\\nVersion: 0.1.0\\nSummary: " + summary
(info / "METADATA").write_text(head + "\\nRequires-Dist: flow-core>=1.0,<2\\n")
(info / "entry_points.txt").write_text("[" + group + "]\\n" + point + "\\n")
(site / name).symlink_to((project / "src" / name).resolve())
"""


class Step(NamedTuple):
    """A command, what the page shows of what it prints, and its line in the page."""

    command: str
    shown: str
    line: int


def tutorial() -> Iterator[list[Step]]:
    """Yield the steps of each block."""
    page = TUTORIAL.read_text(encoding="utf-8")
    for block in _FENCE.finditer(page):
        line = page[: block.start()].count("\n") + 2
        if block[1] == "sh":
            yield [Step(command, "", line) for command in block[2].splitlines()]
        else:
            yield [Step(*_step(text), line) for text in re.split(r"^\$ ", block[2], flags=re.MULTILINE)[1:]]


def _step(text: str) -> tuple[str, str]:
    first, *lines = text.splitlines()
    more = [line[2:] for line in lines if line.startswith("> ")]
    return "\n".join([first, *more]), "\n".join(line for line in lines if not line.startswith("> "))


def own_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which `flow` is this one and `pip` needs no network."""
    (folder / "bin").mkdir()
    (folder / "site").mkdir()
    programs = {"flow": f'#!/bin/sh\nexec "{sys.executable}" -m flow_core "$@"\n'}
    programs |= {name: f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n' for name in ("mypy", "pytest")}
    programs["pip"] = PIP.format(python=sys.executable, site=str(folder / "site"))
    for name, text in programs.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    inherited = os.environ.get("PYTHONPATH", "")
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder / 'site'}:{inherited}".rstrip(":"),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }


def follow(steps: list[Step], folder: Path, environ: Mapping[str, str]) -> None:
    """Type one block into one shell; each command must succeed unless the next one asks for its status."""
    script = "".join(f"{{ {step.command}\n}} 2>&1\ns=$?; printf '\\001%d\\002' $s\n(exit $s)\n" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    following = [step.command for step in steps[1:]] + [""]
    for step, answer, after in zip(steps, done.stdout.split("\x02"), following, strict=False):
        printed, _, status = answer.rpartition("\x01")
        where = f"{TUTORIAL.name}:{step.line}: {step.command}"
        assert status == "0" or after.startswith("echo $?"), f"{where}: status {status}\n{printed}"
        assert not step.shown or matches(step.shown, printed), f"{where}\nshown:\n{step.shown}\nprinted:\n{printed}"


def matches(shown: str, printed: str) -> bool:
    """Say whether ``printed`` is as shown: ``...`` stands for anything, ids for any others, blanks for some."""
    pattern = r"[\s\S]*".join(re.escape(part) for part in _plain(shown).split("..."))
    return re.fullmatch(pattern.strip(), _plain(printed)) is not None


def _plain(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in _ID.sub("ID", text).strip().split("\n"))
