"""squeue's and sacct's columns, and the format strings that name them."""

from __future__ import annotations

import grp
import math
import os
import re
import sys
from collections.abc import Callable, Sequence

import attrs
import click

from flow_slurm.commands.jobs import Job, clock, span, stamp

_NUMBERS = ("JOBID", "ARRAY_JOB_ID")
PERCENT = re.compile(r"%(\.?)(\d*)([A-Za-z])([^%]*)")


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


def tres(job: Job) -> str:
    """What it has, as ``cpu=1,mem=100M,node=1,gres/gpu=2``."""
    needs, nodes = job.task.config.resources, job.task.row.num_instances
    memory = f",mem={(needs.memory >> 20) * nodes}M" if needs.memory else ""
    return f"cpu={job.cpus}{memory},node={nodes}" + (f",gres/gpu={needs.gpu_count * nodes}" if needs.gpu_count else "")


_NOTHING = {
    "a": "ACCOUNT", "q": "QOS", "v": "RESERVATION", "f": "FEATURES", "w": "WCKEY", "W": "LICENSES", "Y": "SCHEDNODES",
}  # fmt: skip
_ANY = {"H": "SOCKETS_PER_NODE", "I": "CORES_PER_SOCKET", "J": "THREADS_PER_CORE"}

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
    "Z": Column("WORK_DIR", lambda job: job.folder),
    "o": Column("COMMAND", lambda job: job.command or "(null)"),
    "Q": Column("PRIORITY", lambda job: str(job.task.config.priority)),
    "k": Column("COMMENT", lambda job: job.comment or "(null)"),
    "E": Column("DEPENDENCY", lambda job: job.dependency or "(null)"),
    "c": Column("MIN_CPUS", lambda job: str(math.ceil(job.task.config.resources.cpus or 1))),
    "d": Column("MIN_TMP_DISK", lambda job: str((job.task.config.resources.disk or 0) >> 20)),
    "g": Column("GROUP", lambda _: _group()),
    "G": Column("GROUP", lambda _: str(os.getgid())),
    "p": Column("PRIORITY", lambda job: f"{job.task.config.priority:.14f}"),
    "y": Column("NICE", lambda job: str(-job.task.config.priority)),
    **{letter: Column(title, lambda _: "(null)") for letter, title in _NOTHING.items()},
    **{letter: Column(title, lambda _: "*") for letter, title in _ANY.items()},
    "h": Column("OVER_SUBSCRIBE", lambda _: "OK"),
    "n": Column("REQ_NODES", lambda _: ""),
    "x": Column("EXC_NODES", lambda _: ""),
    "s": Column("", lambda _: ""),
    "O": Column("CONTIGUOUS", lambda _: "0"),
    "X": Column("CORE_SPEC", lambda _: "N/A"),
    "z": Column("S:C:T", lambda _: "*:*:*"),
}
"""squeue's ``-o`` letters, all of them: a format in somebody's SQUEUE_FORMAT works here too."""

NAMES = {
    "jobid": "A", "jobarrayid": "i", "arrayjobid": "F", "arraytaskid": "K", "name": "j", "state": "T", "statecompact": "t",
    "timeused": "M", "timelimit": "l", "timeleft": "L", "numnodes": "D", "reasonlist": "R", "nodelist": "N", "reason": "r",
    "username": "u", "userid": "U", "partition": "P", "numcpus": "C", "minmemory": "m", "tres-per-node": "b", "gres": "b",
    "starttime": "S", "endtime": "e", "submittime": "V", "workdir": "Z", "command": "o", "priorityno": "Q", "comment": "k",
    "dependency": "E", "account": "a", "qos": "q", "batchhost": "B", "reservation": "v", "nice": "y", "priority": "p",
    "mincpus": "c", "mintmpdisk": "d", "feature": "f", "licenses": "W", "wckey": "w", "reqnodes": "n", "exc_nodes": "x",
    "schednodes": "Y", "groupname": "g", "groupid": "G", "oversubscribe": "h",
}  # fmt: skip
"""squeue's ``-O`` names, each with the letter that says the same."""


OTHERS: dict[str, Column] = {
    "exit_code": Column("EXIT_CODE", _code),
    "stdout": Column("STDOUT", lambda job: job.path("output")),
    "stderr": Column("STDERR", lambda job: job.path("error")),
    "stdin": Column("STDIN", lambda job: job.path("input")),
    "tres-alloc": Column("TRES_ALLOC", tres),
}
"""``-O`` names that no letter says."""


def _uid() -> int:
    return os.getuid()


def _group() -> str:
    return grp.getgrgid(os.getgid()).gr_name


def by_letters(template: str, jobs: Sequence[Job], header: bool) -> None:
    """Print jobs by ``-o``: ``%.18i %9P``; a dot aligns to the right, a number is the width. Raises BadParameter."""
    found = list(PERCENT.finditer(template))
    unknown = [match[3] for match in found if match[3] not in LETTERS]
    if unknown or not found:
        raise click.BadParameter(
            f"there is no %{unknown[0] if unknown else template}; there are {' '.join(sorted(LETTERS))}"
        )
    before = template[: found[0].start()]
    columns = [LETTERS[match[3]] for match in found]
    widths = [_width(column, match[2], jobs) for column, match in zip(columns, found, strict=True)]
    rows = [[column.title for column in columns]] if header else []
    rows += [[column.text(job) for column in columns] for job in jobs]
    for row in rows:
        cells = (
            fitted(text, match[1], width) + match[4] for text, width, match in zip(row, widths, found, strict=True)
        )
        sys.stdout.write(before + "".join(cells) + "\n")


def _width(column: Column, asked: str, jobs: Sequence[Job]) -> str:
    """As wide as was asked for; numbers are never cut, since half of one names nothing, or another job."""
    if asked and column.title in _NUMBERS:
        return str(max(int(asked), *(len(column.text(job)) for job in jobs), 0))
    return asked


def fitted(text: str, right: str, width: str) -> str:
    if not width:
        return text
    cut = text[: int(width)]
    return cut.rjust(int(width)) if right else cut.ljust(int(width))


def by_names(words: str, jobs: Sequence[Job], header: bool) -> None:
    """Print jobs by ``-O``: ``jobid:10,name,state``; 20 characters each. Raises BadParameter."""
    fields = []
    for word in words.split(","):
        name, _, width = word.partition(":")
        column = OTHERS.get(name.lower()) or LETTERS.get(NAMES.get(name.lower(), ""))
        if column is None:
            raise click.BadParameter(f"there is no field {name}; there are {', '.join(sorted({*NAMES, *OTHERS}))}")
        asked = width.strip(".") or "20"
        fields.append((column, _width(column, asked, jobs), "." if width.startswith(".") else ""))
    if header:
        sys.stdout.write("".join(fitted(column.title, right, width) for column, width, right in fields) + "\n")
    for job in jobs:
        sys.stdout.write("".join(fitted(column.text(job), right, width) for column, width, right in fields) + "\n")


_UNKNOWN = """
    AdminComment AllocGRES AssocID AveCPU AveCPUFreq AveDiskRead AveDiskWrite AvePages AveRSS AveVMSize BlockID Constraints
    ConsumedEnergy ConsumedEnergyRaw Container DBIndex FailedNode Layout Licenses MaxDiskRead MaxDiskReadNode MaxDiskReadTask
    MaxDiskWrite MaxDiskWriteNode MaxDiskWriteTask MaxPages MaxPagesNode MaxPagesTask MaxRSS MaxRSSNode MaxRSSTask MaxVMSize
    MaxVMSizeNode MaxVMSizeTask McsLabel MinCPU MinCPUNode MinCPUTask NTasks Planned PlannedCPU PlannedCPURAW QOSRAW
    ReqCPUFreq ReqCPUFreqGov ReqCPUFreqMax ReqCPUFreqMin ReqGRES ReqNodes Reservation ReservationId Reserved ResvCPU
    ResvCPURAW SubmitLine SystemComment SystemCPU TotalCPU TRESUsageInAve TRESUsageInMax
    TRESUsageInTot TRESUsageOutAve TRESUsageOutMax TRESUsageOutTot UserCPU WCKey WCKeyID
""".split()  # noqa: SIM905
"""Fields that accounting fills from what its daemons measure: they are empty here, as they are for a job there."""

SACCT: dict[str, tuple[int, Callable[[Job], str]]] = {
    "JobID": (-12, lambda job: job.id),
    "JobIDRaw": (-12, lambda job: str(job.number)),
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
    "Comment": (14, lambda job: job.comment),
    "Reason": (22, lambda job: job.reason),
    "Cluster": (10, lambda _: "flow"),
    "Priority": (10, lambda job: str(job.task.config.priority)),
    "Restarts": (8, lambda job: str(max(0, job.task.row.attempt - 1))),
    "AllocTRES": (10, tres),
    "ReqTRES": (10, tres),
    "Eligible": (19, lambda job: stamp(job.task.row.created_at, "Unknown")),
    "Group": (9, lambda _: _group()),
    "GID": (6, lambda _: str(os.getgid())),
    "Suspended": (10, lambda _: "00:00:00"),
    "StdOut": (20, lambda job: job.path("output")),
    "StdErr": (20, lambda job: job.path("error")),
    "StdIn": (20, lambda job: job.path("input")),
    "Flags": (16, lambda _: ""),
    **{name: (10, lambda _: "") for name in _UNKNOWN},
}
"""sacct's fields with their widths; negative: aligned to the left."""
