"""What runs beside a rank: with its environment, in its place, seeing what it sees."""

import os
from typing import Dict, List, NamedTuple, Optional, Sequence

from .bundle import Bundle, BundleError
from .environment import environment, working_dir
from .launch import command
from .places import place, port_variables


class Beside(NamedTuple):
    """What to start, with which environment, from where."""

    argv: List[str]
    env: Dict[str, str]
    cwd: str


def beside(
    folder: str,
    bundle: Bundle,
    attempt: int,
    rank: int,
    gpus: Optional[List[str]],
    argv: List[str],
    here: Optional[Sequence[int]] = None,
) -> Beside:
    """How to run ``argv`` beside a rank that has begun; ``here`` are the ranks of this machine. Raises BundleError."""
    where = place(folder, bundle, attempt, range(bundle.num_instances) if here is None else here, gpus)
    if where is None:
        raise BundleError("the task has not started yet: try again")
    env = environment(folder, bundle, attempt, rank, where)
    env.update(port_variables(folder, bundle, attempt, rank))
    if bundle.mounts:
        argv = command("enter", folder, "--", *argv)
    return Beside(argv, env, working_dir(folder, bundle))
