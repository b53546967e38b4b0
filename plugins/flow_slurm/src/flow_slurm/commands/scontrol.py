"""``flow slurm scontrol``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

import click

from flow_core import Flow
from flow_slurm.commands.columns import LETTERS, tres
from flow_slurm.commands.jobs import INVALID, Job, clock, read_all, stamp, those_named
from flow_slurm.commands.options import VERSION, habit, version
from flow_slurm.shims.scontrol import compress, expand

_SUSPENDED = "a task cannot be stopped and go on; its script may save its state, end, and be submitted again"
_CANNOT = {
    "hold": "Flow has no held tasks: cancel it, and submit it again when it may run",
    "uhold": "Flow has no held tasks: cancel it, and submit it again when it may run",
    "release": "Flow has no held tasks: none waits for a release",
    "requeue": "a script can begin itself again (`scontrol requeue $SLURM_JOB_ID` in it); `flow retry TASK` runs a task once more",
    "requeuehold": "Flow has no held tasks",
    "update": "a task is not changed once it is submitted: cancel it, and submit another",
    "suspend": _SUSPENDED,
    "resume": _SUSPENDED,
    "top": "`--priority` of flow run says which task comes first",
    "write": "`flow status TASK --json` has what was submitted",
    "ping": "there is no controller; `flow doctor` looks at what there is",
}
_ELSEWHERE = "; a job of a cluster obeys the cluster's own scontrol"


@click.command("scontrol", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1)
@click.option("-o", "--oneliner", is_flag=True, help="One line for each job.")
@habit("-d", "--details")
@habit("-a", "--all")
@version
def command(words: Sequence[str], oneliner: bool) -> int:
    """Show tasks as `scontrol show job [N]` does; `show hostnames LIST` and `show hostlist HOSTS`."""
    verb, what, *rest = [*words, "", ""][: max(2, len(words))]
    if verb == "version":
        click.echo(VERSION)
        return 0
    if verb != "show":
        why = _CANNOT.get(verb, "this changes a cluster, and there is none")
        raise click.UsageError(f"`scontrol {verb}`: {why}{_ELSEWHERE}")
    kind, _, number = what.partition("=")
    if kind in ("job", "jobs", "jobid"):
        return _show(number or next(iter(rest), ""), " " if oneliner else "\n   ")
    if what in ("hostnames", "hostname"):
        sys.stdout.writelines(
            f"{host}\n" for host in expand(",".join(rest) or os.environ.get("SLURM_JOB_NODELIST", ""))
        )
    elif what in ("hostlist", "hostlistsorted"):
        click.echo(compress(expand(",".join(rest))))
    else:
        raise click.UsageError(
            f"there is nothing to show of {what or 'this'}; there are job, hostnames and hostlist, and sinfo shows "
            "where tasks can run"
        )
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
    code, signal = job.exit_status
    yield f"JobId={job.number}{array} JobName={job.name}"
    yield f"UserId={job.user}({os.getuid()}) GroupId={_text(job, 'g')}({os.getgid()}) MCS_label=N/A"
    yield f"Priority={config.priority} Nice={-config.priority} Account=(null) QOS=(null)"
    yield f"JobState={job.state} Reason={job.reason} Dependency={_text(job, 'E')}"
    again = f"Requeue={int(config.max_preemptions != 0)} Restarts={max(0, row.attempt - 1)}"
    yield f"{again} BatchFlag=1 Reboot=0 ExitCode={code}:{signal}"
    yield f"RunTime={clock(job.elapsed)} TimeLimit={clock(job.limit)} TimeMin=N/A"
    yield f"SubmitTime={stamp(row.created_at, 'Unknown')} EligibleTime={stamp(row.created_at, 'Unknown')}"
    yield f"StartTime={stamp(row.started_at, 'Unknown')} EndTime={_text(job, 'e').replace('N/A', 'Unknown')} Deadline=N/A"
    yield f"Partition={job.partition} AllocNode:Sid=flow:{row.id}"
    yield "ReqNodeList=(null) ExcNodeList=(null)"
    yield f"NodeList={job.node_list}"
    if job.nodes:
        yield f"BatchHost={job.nodes[0]}"
    yield f"NumNodes={row.num_instances} NumCPUs={job.cpus} NumTasks={row.num_instances}"
    yield f"TRES={tres(job)}"
    yield f"MinCPUsNode={_text(job, 'c')} MinMemoryNode={_text(job, 'm')} MinTmpDiskNode={_text(job, 'd')}"
    yield f"Command={_text(job, 'o')}"
    yield f"WorkDir={job.folder}"
    if job.comment:
        yield f"Comment={job.comment}"
    if job.is_script:
        yield f"StdErr={job.path('error')}"
        yield f"StdIn={job.path('input')}"
        yield f"StdOut={job.path('output')}"
    if config.resources.gpu_count:
        yield f"TresPerNode={_text(job, 'b')}"


def _text(job: Job, letter: str) -> str:
    return LETTERS[letter].text(job)
