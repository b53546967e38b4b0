"""What is said of the options that mean nothing, and of those that are refused."""

from __future__ import annotations

from collections.abc import Iterator

from flow_core import Problem
from flow_slurm.sbatch import values
from flow_slurm.sbatch.options import MEANINGLESS, PASSED, REFUSED
from flow_slurm.sbatch.request import Request, problem
from flow_slurm.sbatch.shape import Shape

_NOT_IN_SCRIPTS = ("help", "usage", "version", "wrap", "test-only")

HETEROGENEOUS = (
    "a heterogeneous job: all nodes of a task are alike",
    "submit its components as jobs, or on a cluster by its own sbatch",
)
"""What is said of a job of several components, and what to do."""


def impossible(request: Request) -> Iterator[Problem]:
    """Yield what is refused on every provider."""
    if request.split:
        yield Problem("", "REFUSED", *HETEROGENEOUS, line=request.split, column=1)
    for given in request.given.values():
        if given.option.on_slurm == REFUSED:
            yield problem(given, "REFUSED", f"cannot be kept: {given.option.note}")
        elif given.option.name in _NOT_IN_SCRIPTS and given.word.line:
            yield problem(given, "REFUSED", "stands on the command line only")


def remarks(request: Request, shape: Shape) -> Iterator[Problem]:
    """Yield what is said on every provider."""
    for given in request.given.values():
        if given.option.on_slurm == MEANINGLESS:
            yield problem(given, "MEANINGLESS", f"means nothing here: {given.option.note}", severity="warning")
    least, most = request.read("nodes", values.nodes, (0, None))
    if most and most != least:
        yield problem(request.given["nodes"], "LEAST", f"it gets the least of them, {shape.nodes}", severity="warning")


def notes(request: Request) -> Iterator[Problem]:
    """Yield what is said of options that mean nothing elsewhere, and of those that cannot be left out."""
    for given in request.given.values():
        option = given.option
        if option.fate == REFUSED:
            yield problem(given, "REFUSED", f"cannot be kept here: {option.note}")
        elif option.fate == MEANINGLESS and option.on_slurm == PASSED:
            yield problem(given, "MEANINGLESS", f"means nothing here: {option.note}", severity="warning")
    yield from _gres_notes(request)
    if request.text("kill-on-invalid-dep").lower() == "no":
        message = "a task whose dependency failed ends here all the same"
        yield problem(request.given["kill-on-invalid-dep"], "ENDS", message, severity="warning")


def _gres_notes(request: Request) -> Iterator[Problem]:
    for name, _ in request.read("gres", values.gres, []):
        if name not in ("gpu", "tmp"):
            yield problem(request.given["gres"], "REFUSED", f"there is no resource {name!r} but on one cluster")
