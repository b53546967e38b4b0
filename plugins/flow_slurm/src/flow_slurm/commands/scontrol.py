"""``flow slurm scontrol``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click

from flow_core import Flow
from flow_slurm.commands.columns import LETTERS
from flow_slurm.commands.jobs import INVALID, Job, clock, read_all, stamp, those_named
from flow_slurm.shims.scontrol import compress, expand


@click.command("scontrol")
@click.argument("words", nargs=-1)
@click.option("-o", "--oneliner", is_flag=True, help="One line for each job.")
@click.option("-d", "--details", is_flag=True, help="Accepted for what is typed by habit.")
def command(words: Sequence[str], oneliner: bool, details: bool) -> int:  # noqa: ARG001
    """Show tasks as `scontrol show job [N]` does; `show hostnames LIST` and `show hostlist HOSTS`."""
    verb, what, *rest = [*words, "", ""][: max(2, len(words))]
    if verb != "show":
        raise click.UsageError(
            f"`scontrol {verb}` changes a cluster, and there is none; flow cancel and flow retry change tasks"
        )
    if what in ("job", "jobs", "jobid") or what.startswith("job="):
        number = what.partition("=")[2] or next(iter(rest), "")
        return _show(number, " " if oneliner else "\n   ")
    if what in ("hostnames", "hostname"):
        sys.stdout.writelines(f"{host}\n" for host in expand(",".join(rest)))
    elif what in ("hostlist", "hostlistsorted"):
        click.echo(compress(expand(",".join(rest))))
    else:
        raise click.UsageError(f"there is nothing to show of {what or 'this'}; there are job, hostnames and hostlist")
    return 0


def _show(number: str, between: str) -> int:
    flow = Flow()
    flow.refresh()
    found, missing = those_named(flow, [number]) if number else (read_all(flow, live=False), [])
    if missing:
        click.echo(INVALID, err=True)
        return 1
    if not found:
        click.echo("No jobs in the system")
    for job in found:
        sys.stdout.write(between.join(_lines(job)) + "\n" + ("" if between == " " else "\n"))
    return 0


def _lines(job: Job) -> Iterator[str]:
    row, config = job.task.row, job.task.config
    array = f" ArrayJobId={job.array} ArrayTaskId={job.index}" if job.index is not None else ""
    yield f"JobId={job.number}{array} JobName={job.name}"
    yield f"UserId={job.user}({LETTERS['U'].text(job)}) MCS_label=N/A"
    yield f"Priority={config.priority} Nice=0 Account=(null) QOS=(null)"
    yield f"JobState={job.state} Reason={job.reason} Dependency={LETTERS['E'].text(job)}"
    yield f"Requeue={int(config.max_preemptions != 0)} Restarts={max(0, row.attempt - 1)} BatchFlag=1 Reboot=0 ExitCode={{}}:{{}}".format(
        *job.exit_status
    )
    yield f"RunTime={clock(job.elapsed)} TimeLimit={clock(job.limit)} TimeMin=N/A"
    yield f"SubmitTime={stamp(row.created_at, 'Unknown')} EligibleTime={stamp(row.created_at, 'Unknown')}"
    yield f"StartTime={stamp(row.started_at, 'Unknown')} EndTime={stamp(row.ended_at, 'Unknown')} Deadline=N/A"
    yield f"Partition={job.partition} AllocNode:Sid=flow:{row.id}"
    yield f"NodeList={job.node_list}"
    yield f"NumNodes={row.num_instances} NumCPUs={job.cpus} NumTasks={row.num_instances}"
    yield f"MinMemoryNode={LETTERS['m'].text(job)} TresPerNode={LETTERS['b'].text(job)}"
    yield f"Command={LETTERS['o'].text(job)}"
    yield f"WorkDir={LETTERS['Z'].text(job)}"
    yield f"Comment={LETTERS['k'].text(job)}"
