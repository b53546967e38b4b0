"""``flow slurm squeue``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import attrs
import click

from flow_core import Flow
from flow_slurm.commands import columns, json_shape
from flow_slurm.commands.jobs import INVALID, STATES, Job, read_all, those_named
from flow_slurm.commands.options import habit, now, unkept, version, words

_DEFAULT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
_LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
_START = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R"


@click.command("squeue")
@click.option("-j", "--jobs", "--job", callback=words, help="Only these numbers.")
@click.option("-u", "--user", "--users", callback=words, envvar="SQUEUE_USERS", help="Only of these users.")
@click.option("--me", is_flag=True, help="Only one's own, as always.")
@click.option("-n", "--name", "--names", callback=words, envvar="SQUEUE_NAMES", help="Only of these names.")
@click.option("-p", "--partition", callback=words, envvar="SQUEUE_PARTITION", help="Only on these profiles.")
@click.option("-t", "--states", "--state", callback=words, envvar="SQUEUE_STATES", help="Only in these states, or all.")
@click.option("-w", "--nodelist", callback=words, help="Only on these nodes.")
@click.option("-h", "--noheader", is_flag=True, help="Leave out the titles.")
@click.option("-l", "--long", "is_long", is_flag=True, help="Longer lines.")
@click.option("-r", "--array", "apart", is_flag=True, help="One line for each task of an array.")
@habit("-a", "--all")
@habit("-v", "--verbose")
@habit("--noconvert")
@unkept("-A", "--account")
@unkept("-q", "--qos")
@unkept("-L", "--licenses")
@unkept("-M", "--clusters")
@click.option("--start", is_flag=True, help="Show when they start.")
@click.option("-o", "--format", "template", envvar="SQUEUE_FORMAT", help="Columns as %i %j %T.")
@click.option("-O", "--Format", "names", envvar="SQUEUE_FORMAT2", help="Columns as jobid,name,state.")
@click.option(
    "-S", "--sort", callback=words, envvar="SQUEUE_SORT", help="Letters to sort by; - before one turns it round."
)
@click.option("-i", "--iterate", type=click.FloatRange(min=1), help="Again, so many seconds later.")
@version
@click.option("--json", "as_json", is_flag=True, help="As squeue --json of Slurm 22.05 has it.")
def command(
    jobs: Sequence[str],
    user: Sequence[str],
    me: bool,  # noqa: ARG001 - all tasks are one's own
    name: Sequence[str],
    partition: Sequence[str],
    states: Sequence[str],
    nodelist: Sequence[str],
    noheader: bool,
    is_long: bool,
    apart: bool,
    start: bool,
    template: str | None,
    names: str | None,
    sort: Sequence[str],
    iterate: float | None,
    as_json: bool,
) -> int:
    """Show the tasks of all providers that wait and run, as squeue does.

    Pending tasks of an array stand in one line, as 12_[3-9].
    """
    while True:
        found = _found(jobs, user, name, partition, states, nodelist, as_json)
        if found is None:
            return 1
        found = [job for job in found if job.state == "PENDING"] if start else found
        for letter in reversed(sort):
            if letter.lstrip("+-") not in columns.LETTERS:
                raise click.BadParameter(f"there is no letter {letter} to sort by")
            found.sort(key=columns.LETTERS[letter.lstrip("+-")].text, reverse=letter.startswith("-"))
        if as_json:
            click.echo(json_shape.squeue(found))
        else:
            _print(found if apart else _gathered(found), noheader, template or _layout(start, is_long), names)
        if not iterate:
            return 0
        time.sleep(iterate)


def _found(
    jobs: Sequence[str],
    user: Sequence[str],
    name: Sequence[str],
    partition: Sequence[str],
    states: Sequence[str],
    nodelist: Sequence[str],
    as_json: bool,
) -> list[Job] | None:
    """Return the jobs that are meant; None where numbers were said, and there is none of them."""
    flow = Flow()
    flow.refresh()
    found, missing = those_named(flow, jobs) if jobs else (read_all(flow, live=not states and not as_json), [])
    if missing and not found:
        click.echo(INVALID, err=True)
        return None
    wanted = full_states(states)
    found = [
        job for job in found if (job.is_live if wanted is None and not as_json else not wanted or job.state in wanted)
    ]
    for words_, value in ((user, "user"), (name, "name"), (partition, "partition")):
        found = [job for job in found if not words_ or getattr(job, value) in words_]
    return [job for job in found if not nodelist or set(nodelist) & set(job.nodes)]


def _layout(start: bool, is_long: bool) -> str:
    return _START if start else _LONG if is_long else _DEFAULT


def _print(shown: Sequence[Job], noheader: bool, template: str, names: str | None) -> None:
    if names:
        columns.by_names(names, shown, not noheader)
        return
    if template == _LONG and not noheader:
        sys.stdout.write(now())
    columns.by_letters(template, shown, not noheader)
    sys.stdout.flush()


def full_states(words_: Sequence[str]) -> set[str] | None:
    """Return the states in full; None where nothing was said, empty for all."""
    if not words_:
        return None
    if "all" in [word.lower() for word in words_]:
        return set()
    full = {short: state for state, short in STATES.values()}
    found = {full.get(word.upper(), word.upper()) for word in words_}
    unknown = (
        found - set(full.values()) - {"COMPLETING", "SUSPENDED", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "REQUEUED"}
    )
    if unknown:
        raise click.BadParameter(f"there is no state {unknown.pop()}; there are {', '.join(sorted(full.values()))}")
    return found


@attrs.frozen
class _Several(Job):
    """The tasks of an array that wait."""

    rest: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.array}_[{ranges(self.rest)}]"


def _gathered(jobs: Sequence[Job]) -> list[Job]:
    shown: list[Job] = []
    seen: set[int] = set()
    for job in jobs:
        if job.index is None or job.state != "PENDING":
            shown.append(job)
        elif job.array not in seen:
            seen.add(job.array)
            rest = tuple(sorted(one.index or 0 for one in jobs if one.array == job.array and one.state == "PENDING"))
            shown.append(_Several(**attrs.asdict(job, recurse=False), rest=rest) if len(rest) > 1 else job)
    return shown


def ranges(numbers: Sequence[int]) -> str:
    """Return ``1-3,7``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
