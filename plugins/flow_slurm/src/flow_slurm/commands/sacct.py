"""``flow slurm sacct``."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import datetime

import click

from flow_core import Flow, Task
from flow_slurm.commands import json_shape
from flow_slurm.commands.columns import SACCT
from flow_slurm.commands.jobs import Job, jobs as as_jobs, those_named
from flow_slurm.commands.options import habit, unkept, version, words
from flow_slurm.commands.squeue import full_states

_DEFAULT = "JobID,JobName,Partition,Account,AllocCPUS,State,ExitCode"
_LOWER = {name.lower(): name for name in SACCT}
_BRIEF = "JobID,State,ExitCode"
_LONG = "JobID,JobIDRaw,JobName,Partition,MaxRSS,NTasks,AllocCPUS,Elapsed,State,ExitCode,ReqMem,AllocTRES"


@click.command("sacct")
@click.option("-j", "--jobs", callback=words, help="Only these numbers.")
@click.option("-u", "--user", callback=words, help="Only of these users.")
@click.option("-n", "--noheader", is_flag=True, help="Leave out the titles.")
@habit("-X", "--allocations")
@habit("-D", "--duplicates")
@habit("-v", "--verbose")
@habit("--noconvert")
@unkept("-A", "--accounts")
@unkept("-q", "--qos")
@unkept("-M", "--clusters")
@unkept("--units")
@version
@click.option("-P", "--parsable2", is_flag=True, help="With | between the fields.")
@click.option("-p", "--parsable", is_flag=True, help="With | behind each field.")
@click.option("--delimiter", default="|", help="Instead of |.")
@click.option("-o", "--format", "template", envvar="SACCT_FORMAT", help="Fields as JobID,State%20.")
@click.option("-l", "--long", "is_long", is_flag=True, help="Many fields.")
@click.option("-e", "--helpformat", is_flag=True, help="Name the fields.")
@click.option("-b", "--brief", is_flag=True, help="Number, state and exit code.")
@click.option("-s", "--state", callback=words, help="Only in these states.")
@click.option(
    "-S", "--starttime", help="What waited or ran since then: YYYY-MM-DD[THH:MM[:SS]], HH:MM, today, now-1days."
)
@click.option("-E", "--endtime", help="What waited or ran until then.")
@click.option("-r", "--partition", callback=words, help="Only on these profiles.")
@click.option("--name", callback=words, help="Only of these names.")
@habit("-a", "--allusers")
@click.option("--json", "as_json", is_flag=True, help="As sacct --json of Slurm 22.05 has it.")
def command(
    jobs: Sequence[str],
    user: Sequence[str],
    noheader: bool,
    parsable2: bool,
    parsable: bool,
    delimiter: str,
    template: str | None,
    is_long: bool,
    helpformat: bool,
    brief: bool,
    state: Sequence[str],
    starttime: str | None,
    endtime: str | None,
    partition: Sequence[str],
    name: Sequence[str],
    as_json: bool,
) -> None:
    """Show tasks of all providers, those that have ended too, as sacct does: today's, or the numbers that are given."""
    if helpformat:
        click.echo("\n".join(sorted(SACCT)))
        return
    flow = Flow()
    flow.refresh()
    if jobs:
        found, _ = those_named(flow, jobs)
    else:
        since, until = _at(starttime), _at(endtime) if endtime else math.inf
        found = as_jobs(flow, [task for task in reversed(flow.tasks(limit=None)) if _was(task, since, until)])
    wanted = full_states(state)
    found = [job for job in found if not wanted or job.state in wanted]
    found = [job for job in found if (not user or job.user in user) and (not name or job.name in name)]
    found = [job for job in found if not partition or job.partition in partition]
    if as_json:
        click.echo(json_shape.sacct(found))
        return
    fields = [_field(word) for word in (template or (_BRIEF if brief else _LONG if is_long else _DEFAULT)).split(",")]
    if parsable or parsable2:
        _print_parsable(fields, found, not noheader, delimiter, delimiter if parsable else "")
    else:
        _print(_wide(fields, found), found, not noheader)


def _was(task: Task, since: float, until: float) -> bool:
    """Whether it waited or ran at any time between."""
    return task.row.created_at <= until and (task.row.ended_at or math.inf) >= since


def _at(text: str | None) -> float:
    today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    if text is None or text == "today":
        return today.timestamp()
    if text.startswith("now"):
        return datetime.now().timestamp() - _back(text[3:])
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%m/%d/%y", "%m%d%y"):
        try:
            return datetime.strptime(text, form).timestamp()
        except ValueError:
            continue
    try:
        at = datetime.strptime(text, "%H:%M")
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time; write YYYY-MM-DD, HH:MM or now-1days") from error
    return today.replace(hour=at.hour, minute=at.minute).timestamp()


def _back(text: str) -> float:
    units = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800}
    digits = "".join(letter for letter in text if letter.isdigit())
    unit = next(
        (size for name, size in units.items() if name.startswith(text.lstrip("-0123456789").rstrip("s") or "s")), 0
    )
    if text and (not text.startswith("-") or not digits or not unit):
        raise click.BadParameter(f"now{text} is no time in the past; write now-3days")
    return float(int(digits or 0) * unit)


def _field(word: str) -> tuple[str, int]:
    name, _, width = word.partition("%")
    known = _LOWER.get(name.lower())
    if known is None:
        raise click.BadParameter(f"there is no field {name}; there are {', '.join(SACCT)}")
    return known, int(width) if width.lstrip("-").isdigit() else SACCT[known][0]


def _wide(fields: Sequence[tuple[str, int]], found: Sequence[Job]) -> list[tuple[str, int]]:
    """Have room for every number: half of one names nothing."""
    longest = {name: max([len(SACCT[name][1](job)) for job in found], default=0) for name in ("JobID", "JobIDRaw")}
    return [(name, max(abs(width), longest.get(name, 0)) * (-1 if width < 0 else 1)) for name, width in fields]


def _print(fields: Sequence[tuple[str, int]], found: Sequence[Job], header: bool) -> None:
    if header:
        sys.stdout.write("".join(_cell(name, width) for name, width in fields) + "\n")
        sys.stdout.write("".join("-" * abs(width) + " " for _, width in fields) + "\n")
    for job in found:
        sys.stdout.write("".join(_cell(SACCT[name][1](job), width) for name, width in fields) + "\n")


def _cell(text: str, width: int) -> str:
    size = abs(width)
    cut = text if len(text) <= size else text[: size - 1] + "+"
    return (cut.ljust(size) if width < 0 else cut.rjust(size)) + " "


def _print_parsable(
    fields: Sequence[tuple[str, int]], found: Sequence[Job], header: bool, delimiter: str, last: str
) -> None:
    rows = [[name for name, _ in fields]] if header else []
    rows += [[SACCT[name][1](job) for name, _ in fields] for job in found]
    sys.stdout.writelines(delimiter.join(row) + last + "\n" for row in rows)
