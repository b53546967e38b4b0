"""What runs beside a rank: with its environment, in its place, seeing what it sees."""

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
    return Beside(beside_argv(folder, bundle, argv), env, start_dir(folder, bundle))


def beside_argv(folder: str, bundle: Bundle, argv: List[str]) -> List[str]:
    """What to start so that ``argv`` sees what the task sees."""
    if bundle.image is not None:
        return command("join", folder, "--", *argv)
    return command("enter", folder, "--", *argv) if bundle.mounts else argv


def start_dir(folder: str, bundle: Bundle) -> str:
    """Where to start a rank from: where its command starts, which for a container is the engine's to go to."""
    path = working_dir(folder, bundle)
    return path if bundle.image is None else folder
