"""``flow slurm squeue``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import attrs
import click

from flow_core import Flow
from flow_slurm.commands import columns, json_shape
from flow_slurm.commands.jobs import INVALID, STATES, Job, read_all, those_named

_DEFAULT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
_LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
_START = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %.20N %R"


def words(_ctx: object, _option: object, value: str | None) -> tuple[str, ...]:
    """Split a list with commas."""
    return tuple(word for word in (value or "").split(",") if word)


@click.command("squeue")
@click.option("-j", "--jobs", "--job", callback=words, help="Only these numbers.")
@click.option("-u", "--user", "--users", callback=words, help="Only of these users.")
@click.option("--me", is_flag=True, help="Only one's own, as always.")
@click.option("-n", "--name", callback=words, help="Only of these names.")
@click.option("-p", "--partition", callback=words, help="Only on these profiles.")
@click.option("-t", "--states", "--state", callback=words, help="Only in these states, or all.")
@click.option("-w", "--nodelist", callback=words, help="Only on these nodes.")
@click.option("-h", "--noheader", is_flag=True, help="Leave out the titles.")
@click.option("-l", "--long", "is_long", is_flag=True, help="Longer lines.")
@click.option("-r", "--array", "apart", is_flag=True, help="One line for each task of an array.")
@click.option("-a", "--all", "everywhere", is_flag=True, help="Accepted for what is typed by habit.")
@click.option("--start", is_flag=True, help="Show when they start.")
@click.option("-o", "--format", "template", help="Columns as %i %j %T.")
@click.option("-O", "--Format", "names", help="Columns as jobid,name,state.")
@click.option("-S", "--sort", callback=words, help="Letters to sort by; - before one turns it round.")
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
    everywhere: bool,  # noqa: ARG001 - no partition is hidden
    start: bool,
    template: str | None,
    names: str | None,
    sort: Sequence[str],
    as_json: bool,
) -> int:
    """Show the tasks of all providers that wait and run, as squeue does.

    Pending tasks of an array stand in one line, as 12_[3-9].
    """
    flow = Flow()
    found, missing = those_named(flow, jobs) if jobs else (read_all(flow, live=not states and not as_json), [])
    if missing and not found:
        click.echo(INVALID, err=True)
        return 1
    wanted = _states(states)
    found = [
        job for job in found if (job.is_live if wanted is None and not as_json else not wanted or job.state in wanted)
    ]
    for words_, value in ((user, "user"), (name, "name"), (partition, "partition")):
        found = [job for job in found if not words_ or getattr(job, value) in words_]
    found = [job for job in found if not nodelist or set(nodelist) & set(job.nodes)]
    for letter in reversed(sort):
        found.sort(key=columns.LETTERS[letter.lstrip("+-")].text, reverse=letter.startswith("-"))
    if as_json:
        click.echo(json_shape.squeue(found))
        return 0
    shown = found if apart else _gathered(found)
    if names:
        columns.by_names(names, shown, not noheader)
        return 0
    if is_long and not noheader and not template:
        from datetime import datetime

        sys.stdout.write(datetime.now().strftime("%a %b %d %H:%M:%S %Y\n"))
    columns.by_letters(template or (_START if start else _LONG if is_long else _DEFAULT), shown, not noheader)
    return 0


def _states(words_: Sequence[str]) -> set[str] | None:
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
            shown.append(
                _Several(job.task, job.number, job.array, job.index, job.attempts, rest) if len(rest) > 1 else job
            )
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
