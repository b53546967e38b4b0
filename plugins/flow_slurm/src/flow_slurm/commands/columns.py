"""squeue's and sacct's columns, and the format strings that name them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

import attrs
import click

from flow_slurm.commands.jobs import Job, clock, span, stamp

_PERCENT = re.compile(r"%(\.?)(\d*)([A-Za-z])([^%]*)")


@attrs.frozen
class Column:
    """A title and what stands below it."""

    title: str
    text: Callable[[Job], str]


def _size(job: Job) -> str:
    memory = job.task.config.resources.memory
    return "0" if not memory else f"{memory >> 20}M" if memory % (1 << 30) else f"{memory >> 30}G"


def _gres(job: Job) -> str:
    needs = job.task.config.resources
    return f"gres:gpu:{needs.gpu + ':' if needs.gpu else ''}{needs.gpu_count}" if needs.gpu_count else "N/A"


def _where(job: Job) -> str:
    return f"({job.reason})" if job.short_state == "PD" else job.node_list


def _end(job: Job) -> str:
    row = job.task.row
    planned = row.started_at + job.limit if row.started_at and job.limit else None
    return stamp(row.ended_at or planned, "N/A")


def _left(job: Job) -> str:
    return span(None if job.limit is None else max(0.0, job.limit - job.elapsed))


def _code(job: Job) -> str:
    return str(job.exit_status[0])


LETTERS: dict[str, Column] = {
    "i": Column("JOBID", lambda job: job.id),
    "A": Column("JOBID", lambda job: str(job.number)),
    "F": Column("ARRAY_JOB_ID", lambda job: str(job.array)),
    "K": Column("ARRAY_TASK_ID", lambda job: "N/A" if job.index is None else str(job.index)),
    "j": Column("NAME", lambda job: job.name),
    "T": Column("STATE", lambda job: job.state),
    "t": Column("ST", lambda job: job.short_state),
    "M": Column("TIME", lambda job: span(job.elapsed)),
    "l": Column("TIME_LIMIT", lambda job: span(job.limit)),
    "L": Column("TIME_LEFT", _left),
    "D": Column("NODES", lambda job: str(job.task.row.num_instances)),
    "R": Column("NODELIST(REASON)", _where),
    "N": Column("NODELIST", lambda job: job.node_list),
    "B": Column("EXEC_HOST", lambda job: (job.nodes or ("n/a",))[0]),
    "r": Column("REASON", lambda job: job.reason),
    "u": Column("USER", lambda job: job.user),
    "U": Column("UID", lambda _: str(_uid())),
    "P": Column("PARTITION", lambda job: job.partition),
    "C": Column("CPUS", lambda job: str(job.cpus)),
    "m": Column("MIN_MEMORY", _size),
    "b": Column("TRES_PER_NODE", _gres),
    "S": Column("START_TIME", lambda job: stamp(job.task.row.started_at, "N/A")),
    "e": Column("END_TIME", _end),
    "V": Column("SUBMIT_TIME", lambda job: stamp(job.task.row.created_at, "N/A")),
    "Z": Column("WORK_DIR", lambda job: job.task.config.working_dir or job.task.config.code.root),
    "o": Column("COMMAND", lambda job: _command(job)),
    "Q": Column("PRIORITY", lambda job: str(job.task.config.priority)),
    "k": Column("COMMENT", lambda job: job.task.row.labels.get("comment", "(null)")),
    "E": Column("DEPENDENCY", lambda job: ",".join(job.task.config.depends_on) or "(null)"),
    "a": Column("ACCOUNT", lambda _: "(null)"),
    "q": Column("QOS", lambda _: "(null)"),
    "v": Column("RESERVATION", lambda _: "(null)"),
}
"""squeue's ``-o`` letters."""

NAMES = {
    "jobid": "A", "jobarrayid": "i", "arrayjobid": "F", "arraytaskid": "K", "name": "j", "state": "T", "statecompact": "t",
    "timeused": "M", "timelimit": "l", "timeleft": "L", "numnodes": "D", "reasonlist": "R", "nodelist": "N", "reason": "r",
    "username": "u", "userid": "U", "partition": "P", "numcpus": "C", "minmemory": "m", "tres-per-node": "b", "gres": "b",
    "starttime": "S", "endtime": "e", "submittime": "V", "workdir": "Z", "command": "o", "priorityno": "Q", "comment": "k",
    "dependency": "E", "account": "a", "qos": "q", "batchhost": "B", "exit_code": "", "reservation": "v",
}  # fmt: skip
"""squeue's ``-O`` names, each with the letter that says the same."""


def _uid() -> int:
    import os

    return os.getuid()


def _command(job: Job) -> str:
    said = job.task.config.command
    return said if isinstance(said, str) else " ".join(said or ()) or "(null)"


def by_letters(template: str, jobs: Sequence[Job], header: bool) -> None:
    """Print jobs by ``-o``: ``%.18i %9P``; a dot aligns to the right, a number is the width. Raises BadParameter."""
    found = list(_PERCENT.finditer(template))
    unknown = [match[3] for match in found if match[3] not in LETTERS]
    if unknown or not found:
        raise click.BadParameter(
            f"there is no %{unknown[0] if unknown else template}; there are {' '.join(sorted(LETTERS))}"
        )
    before = template[: found[0].start()]
    rows = [[LETTERS[match[3]].title for match in found]] if header else []
    rows += [[LETTERS[match[3]].text(job) for match in found] for job in jobs]
    for row in rows:
        cells = (_fitted(text, match[1], match[2]) + match[4] for text, match in zip(row, found, strict=True))
        sys.stdout.write(before + "".join(cells) + "\n")


def _fitted(text: str, right: str, width: str) -> str:
    if not width:
        return text
    cut = text[: int(width)]
    return cut.rjust(int(width)) if right else cut.ljust(int(width))


def by_names(words: str, jobs: Sequence[Job], header: bool) -> None:
    """Print jobs by ``-O``: ``jobid:10,name,state``; 20 characters each. Raises BadParameter."""
    fields = []
    for word in words.split(","):
        name, _, width = word.partition(":")
        column = _exit_code() if name.lower() == "exit_code" else LETTERS.get(NAMES.get(name.lower(), ""))
        if column is None:
            raise click.BadParameter(f"there is no field {name}; there are {', '.join(sorted(NAMES))}")
        fields.append((column, width.strip(".") or "20", "." if width.startswith(".") else ""))
    if header:
        sys.stdout.write("".join(_fitted(column.title, right, width) for column, width, right in fields) + "\n")
    for job in jobs:
        sys.stdout.write("".join(_fitted(column.text(job), right, width) for column, width, right in fields) + "\n")


def _exit_code() -> Column:
    return Column("EXIT_CODE", _code)


SACCT: dict[str, tuple[int, Callable[[Job], str]]] = {
    "JobID": (-20, lambda job: job.id),
    "JobIDRaw": (-20, lambda job: str(job.number)),
    "JobName": (10, lambda job: job.name),
    "Partition": (10, lambda job: job.partition),
    "Account": (10, lambda _: ""),
    "AllocCPUS": (10, lambda job: str(job.cpus)),
    "NCPUS": (10, lambda job: str(job.cpus)),
    "ReqCPUS": (8, lambda job: str(job.cpus)),
    "State": (10, lambda job: f"CANCELLED by {_uid()}" if job.state == "CANCELLED" else job.state),
    "ExitCode": (8, lambda job: "{}:{}".format(*job.exit_status)),
    "DerivedExitCode": (15, lambda _: "0:0"),
    "Elapsed": (10, lambda job: clock(job.elapsed)),
    "ElapsedRaw": (10, lambda job: str(int(job.elapsed))),
    "CPUTimeRAW": (10, lambda job: str(int(job.elapsed * job.cpus))),
    "CPUTime": (10, lambda job: clock(job.elapsed * job.cpus)),
    "Timelimit": (10, lambda job: clock(job.limit)),
    "TimelimitRaw": (12, lambda job: "" if job.limit is None else str(int(job.limit // 60))),
    "Submit": (19, lambda job: stamp(job.task.row.created_at, "Unknown")),
    "Start": (19, lambda job: stamp(job.task.row.started_at, "Unknown")),
    "End": (19, lambda job: stamp(job.task.row.ended_at, "Unknown")),
    "NNodes": (8, lambda job: str(job.task.row.num_instances)),
    "AllocNodes": (10, lambda job: str(job.task.row.num_instances)),
    "NodeList": (15, lambda job: job.node_list or "None assigned"),
    "ReqMem": (10, _size),
    "User": (9, lambda job: job.user),
    "UID": (6, lambda _: str(_uid())),
    "QOS": (10, lambda _: ""),
    "WorkDir": (20, lambda job: LETTERS["Z"].text(job)),
    "Comment": (14, lambda job: job.task.row.labels.get("comment", "")),
    "Reason": (22, lambda job: job.reason),
    "Cluster": (10, lambda _: "flow"),
    "Priority": (10, lambda job: str(job.task.config.priority)),
    "Restarts": (8, lambda job: str(max(0, job.task.row.attempt - 1))),
}
"""sacct's fields with their widths; negative: aligned to the left."""
