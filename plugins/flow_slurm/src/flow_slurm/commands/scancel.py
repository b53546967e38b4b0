"""``flow slurm scancel``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from flow_core import Flow
from flow_slurm.commands.jobs import Job, read_all, those_named
from flow_slurm.commands.options import habit, unkept, version, words
from flow_slurm.commands.squeue import full_states


@click.command("scancel")
@click.argument("numbers", nargs=-1)
@click.option("-u", "--user", callback=words, help="All of these users.")
@click.option("--me", is_flag=True, help="All of one's own.")
@click.option("-n", "--name", "--jobname", callback=words, help="Those of these names.")
@click.option("-p", "--partition", callback=words, help="Those on these profiles.")
@click.option("-t", "--state", callback=words, help="Those in these states.")
@click.option("-s", "--signal", help="Refused: a task signals itself, others are ended.")
@click.option("-w", "--nodelist", callback=words, help="Those on these nodes.")
@habit("-b", "--batch")
@habit("-f", "--full")
@habit("-H", "--hurry")
@unkept("-A", "--account")
@unkept("-q", "--qos")
@unkept("-M", "--clusters")
@version
@click.option("-Q", "--quiet", is_flag=True, help="Say nothing of numbers that there are not.")
@click.option("-v", "--verbose", is_flag=True, help="Say what is ended.")
def command(
    numbers: Sequence[str],
    user: Sequence[str],
    me: bool,
    name: Sequence[str],
    partition: Sequence[str],
    state: Sequence[str],
    signal: str | None,
    nodelist: Sequence[str],
    quiet: bool,
    verbose: bool,
) -> int:
    """End tasks of any provider by number (12, 12_3, 12_[1-3]), by name, state or all of them, as scancel does."""
    if signal and signal.upper().removeprefix("SIG") not in ("TERM", "KILL", "15", "9"):
        raise click.BadParameter(f"{signal} cannot be sent to another task; `flow exec TASK kill …` can")
    if not (numbers or user or me or name or partition or state or nodelist):
        raise click.UsageError("no job identification provided")
    flow = Flow()
    flow.refresh()
    found, missing = those_named(flow, _words(numbers)) if numbers else (read_all(flow, live=True), [])
    wanted = full_states(state)
    for job in reversed(found):  # of tasks that wait for each other none is to start because the one before it ended
        meant = _is_meant(job, user, name, partition) and (not nodelist or set(nodelist) & set(job.nodes))
        if meant and (not wanted or job.state in wanted) and job.is_live:
            if verbose:
                click.echo(f"scancel: Terminating job {job.id}", err=True)
            job.task.cancel(0.0 if signal and signal.upper().endswith(("KILL", "9")) else None)
    for word in () if quiet else missing:
        click.echo(f"scancel: error: Invalid job id {word}", err=True)
    return 0  # as there: scripts tidy up jobs that have gone


def _words(numbers: Sequence[str]) -> list[str]:
    return [word for number in numbers for word in _apart(number)]


def _apart(text: str) -> list[str]:
    """Split ``12,13_[1,2]`` at the commas outside of brackets."""
    import re

    return re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text)


def _is_meant(job: Job, user: Sequence[str], name: Sequence[str], partition: Sequence[str]) -> bool:
    pairs = ((user, job.user), (name, job.name), (partition, job.partition))
    return all(not wanted or value in wanted for wanted, value in pairs)
