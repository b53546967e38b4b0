"""Tasks on a Slurm cluster of this machine's own, beside Slurm's commands: ``python -m benchmarks --only slurm``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Spread, in_turns, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.place import Place
    from flow_core import Flow

SUBMIT, ARRAY = 1.5, 1.2  # times the floor
NOTICE, LINE = 0.1, 0.02  # seconds
_ARRAY = 500
_WORK = "sleep 1"
_TESTS = Path(__file__).parents[1] / "plugins" / "flow_slurm" / "tests"


def measure(place: Place) -> list[Figure]:
    """Return the figures; none where Slurm is not installed or this is not root, who alone can start a cluster."""
    with cluster() as shared:
        if shared is None:
            print("slurm: not measured: a cluster can be started by root, with Slurm installed", file=sys.stderr)
            return []
        home = Path(os.environ["FLOW_HOME"])
        home.mkdir(parents=True)
        (home / "config.yaml").write_text(f"default: lab\nprofiles:\n  lab: {{provider: slurm, root: {shared}/flow}}\n")
        (home / "config.yaml").chmod(0o600)
        os.chdir(shared)
        return _figures(place)


@contextmanager
def cluster(accounting: bool = False) -> Iterator[Path | None]:
    """Have a cluster, which commands of this process find; its shared folder, None where none can be started."""
    sys.path.insert(0, str(_TESTS))
    import cluster as clusters

    if clusters.missing(accounting) or os.geteuid() != 0:
        yield None
        return
    with clusters.running(accounting) as started:
        os.environ.update(started.environment)
        yield started.shared


def _figures(place: Place) -> list[Figure]:
    from flow_core import Flow

    flow = Flow()
    rounds = place.rounds(20)
    submits = in_turns(rounds, {"floor": sbatch, "ours": lambda: timed(lambda: flow.submit("true"))}, warm_up=2)
    _idle()
    followed = [_followed(flow) for _ in range(place.rounds(10))]
    notices, lines = Spread(tuple(one[0] for one in followed)), Spread(tuple(one[1] for one in followed))
    arrays = [(timed(lambda: array(_ARRAY, "true", "-H")), _many(flow)) for _ in range(3)]
    raw, ours = (Spread(tuple(one[place] for one in arrays)) for place in (0, 1))
    subprocess.run(["scancel", "--full", "--me"], check=True, capture_output=True)
    _idle()
    count = 48 if place.quick else _ARRAY
    works = {"floor": lambda: array(count, _WORK), "ours": lambda: flow.submit_many([_WORK] * count)}
    done = [Spread((_ended(work),)) for work in works.values()]
    name, asked = f"array of {_ARRAY}", Spread(tuple(squeue() for _ in range(10)))
    return [
        Figure("slurm: submit", "call -> accepted", "sbatch", submits["floor"], submits["ours"], "ratio", SUBMIT),
        Figure("slurm: end", "written -> known", "squeue", asked, notices, "median", NOTICE),
        Figure("slurm: log line", "written -> in hand", "squeue", asked, lines, "median", LINE),
        Figure(f"slurm: {name}", "call -> accepted", "sbatch --array", raw, ours, "median", None),
        Figure(f"slurm: {count} x {_WORK}", "call -> all ended", "sbatch --array", *done, "ratio", ARRAY, unit="s"),
    ]


def sbatch() -> float:
    """Return the seconds of a bare sbatch."""
    argv = ["sbatch", "--parsable", "--output=/dev/null", "--wrap=true"]
    return timed(lambda: subprocess.run(argv, check=True, capture_output=True))


def squeue() -> float:
    """Return the seconds of one question to the controller."""
    return timed(lambda: subprocess.run(["squeue", "-h"], check=True, capture_output=True))


def array(count: int, work: str, *flags: str) -> None:
    """Submit a bare array."""
    argv = ["sbatch", "--parsable", "--output=/dev/null", f"--array=0-{count - 1}", f"--wrap={work}", *flags]
    subprocess.run(argv, check=True, capture_output=True)


def _many(flow: Flow) -> float:
    """Return the seconds of as many tasks of ours, each with its folder."""
    from flow_core.client._submit import make_submission
    from flow_core.types import new_task_id

    plan = flow.plan(flow.config("true", options={"slurm": {"extra": ["-H"]}}))
    orders = [make_submission(flow.session, plan, new_task_id(), {}) for _ in range(_ARRAY)]
    return timed(lambda: plan.provider._call("flow_provision_submit_many", submissions=orders))


def _followed(flow: Flow) -> tuple[float, float]:
    """Return how late the end of a task was known, and its one line, in seconds."""
    task = flow.submit("date +%s.%N; sleep 0.3; date +%s.%N >&2")
    seen, at = b"", 0.0
    with closing(task.logs(follow=True)) as chunks:  # type: ignore[type-var]
        for chunk in chunks:
            if chunk.stream == "stdout" and not at:
                at = time.time() - float(chunk.data)
            seen += chunk.data if chunk.stream == "stderr" else b""
    task.wait()
    return time.time() - float(seen), at


def _ended(submit: Callable[[], object]) -> float:
    """Return the seconds until all that is submitted has ended."""
    return timed(lambda: (submit(), _idle()))


def _idle() -> None:
    while subprocess.run(["squeue", "-h"], check=True, capture_output=True).stdout:
        time.sleep(0.2)
