"""Where everything that travels with a script begins: ``run.py COMMAND [ARGUMENT ...]``."""

import sys
from typing import Callable, Dict, List


def main() -> None:
    """Run the command that the first word names; each imports no more than it needs."""
    name, argv = sys.argv[1], sys.argv[2:]
    command = _COMMANDS.get(name)
    sys.exit(_ask(name, argv) if command is None else command(argv))


def _launch(argv: List[str]) -> int:
    from .launch import main as run

    return run(argv)


def _srun(argv: List[str]) -> int:
    from .srun import main as run

    return run(argv)


def _scontrol(argv: List[str]) -> int:
    from .scontrol import main as run

    return run(argv)


def _scancel(argv: List[str]) -> int:
    from .client import scancel

    return scancel(argv)


def _module(argv: List[str]) -> int:
    from .client import module

    return module(argv)


def _ask(name: str, argv: List[str]) -> int:
    from .client import call

    return call(name, argv)


_COMMANDS: Dict[str, Callable[[List[str]], int]] = {
    "launch": _launch,
    "srun": _srun,
    "scontrol": _scontrol,
    "scancel": _scancel,
    "module": _module,
}
