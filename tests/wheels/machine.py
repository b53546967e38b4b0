"""A fresh environment, and a home without anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs


@attrs.frozen
class Machine:
    """An environment with things installed; ``flow`` and ``python`` run in it."""

    folder: Path
    environ: dict[str, str]

    @classmethod
    def make(cls, folder: Path) -> Machine:
        """Make an environment without any package but pip."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LC_", "SSL_"))}
        environ = {**kept, "HOME": str(folder), "PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}"}
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        return cls(folder, environ)

    def __call__(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a folder without anything of the project."""
        program = str(self.folder / "venv" / "bin" / words[0])
        return subprocess.run(
            [program, *words[1:]],
            cwd=self.folder,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, *words: str) -> None:
        """Run Python to a good end."""
        done = self("python", *words)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def pip(self, *words: str) -> None:
        """Run pip to a good end."""
        self.python("-m", "pip", "--quiet", *words)
