"""A batch script, and what of the submitter's environment goes along with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import attrs

from flow_core import Problem
from flow_slurm.sbatch.request import Request, problem

_NAMED = re.compile(r"\$(?:\{[#!]?)?([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY", re.IGNORECASE)
_OWN = frozenset(
    """
    PATH HOME USER LOGNAME SHELL PWD OLDPWD SHLVL HOSTNAME TERM TMPDIR LANG TZ UID EUID PPID IFS RANDOM SECONDS LINENO
    BASH BASHPID BASH_SOURCE BASH_VERSION FUNCNAME REPLY OPTARG OPTIND PIPESTATUS DISPLAY MAIL PS1 _
    CUDA_VISIBLE_DEVICES RANK WORLD_SIZE LOCAL_RANK MASTER_ADDR MASTER_PORT NODE_RANK NNODES
    """.split()  # noqa: SIM905
)
"""What the machine, the shell or Flow sets itself."""
_THEIRS = ("SLURM", "SBATCH_", "SRUN_", "FLOW_", "BASH_FUNC_", "LC_", "PMI")


@attrs.frozen
class Script:
    """``body`` travels byte for byte; ``name`` is the job's name where none is given."""

    body: bytes
    name: str
    arguments: tuple[str, ...] = ()
    path: str = ""

    @property
    def text(self) -> str:
        """The body as text: lines are found also where it is none."""
        return self.body.decode("utf-8", "surrogateescape")

    def exported(self, request: Request, environ: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the variables of the submitter that go along, and the names of those that go as secrets."""
        words = [word for word in request.text("export", "ALL").split(",") if word]
        names = [word for word in words if word not in ("ALL", "NONE", "NIL")]
        env = dict(name.split("=", 1) for name in names if "=" in name)
        wanted = {name for name in names if "=" not in name}
        if "ALL" in words:
            wanted |= self._mentioned()
        there = {name: environ[name] for name in sorted(wanted) if name in environ and name not in env}
        secrets = tuple(name for name in there if _SECRET.search(name))
        return {**{name: value for name, value in there.items() if name not in secrets}, **env}, secrets

    def _mentioned(self) -> set[str]:
        return {name for name in _NAMED.findall(self.text) if name not in _OWN and not name.startswith(_THEIRS)}

    def problems(self, request: Request) -> Iterator[Problem]:
        """Yield what is wrong with the names in ``--export``."""
        for word in request.text("export", "ALL").split(","):
            if word and not _NAME.fullmatch(word.partition("=")[0]):
                yield problem(request.given["export"], "VALUE", f"{word!r} is no variable")
