"""``flow slurm sinfo``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

import attrs
import click

from flow_core import Flow, FlowError, Offer
from flow_slurm.commands import json_shape
from flow_slurm.commands.columns import PERCENT, fitted
from flow_slurm.commands.options import habit, now, unkept, version, words

_DEFAULT = "%9P %.5a %.10l %.6D %.6t %N"
_BRIEF = "%9P %.5a %.10l %.16F %N"
_LONG = "%9P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N"
_BY_NODE = "%10N %.6D %9P %6t"
_LONG_BY_NODE = "%10N %.6D %9P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E"


@attrs.frozen
class Row:
    """What one profile offers; ``offer`` None where it says nothing, or cannot be asked."""

    profile: str
    is_default: bool
    offer: Offer | None
    is_up: bool = True

    @property
    def state(self) -> str:
        """How much of it is in use, in Slurm's words."""
        offer = self.offer
        if not self.is_up:
            return "down"
        if offer is None or offer.available is None or offer.available == (offer.total or 1):
            return "idle"
        return "mixed" if offer.available else "allocated"

    def text(self, letter: str) -> str:
        """Return what stands in the column of this letter. Raises KeyError."""
        offer = self.offer
        if letter in _SAME:
            return _SAME[letter][1]
        nodes = (offer.total or 1) if offer else 0
        cpus = int(offer.cpus) * nodes if offer else 0
        return {
            "P": self.profile + ("*" if self.is_default else ""),
            "R": self.profile,
            "a": "up" if self.is_up else "down",
            "D": str(nodes),
            "A": self._shared(nodes).rsplit("/", 2)[0],
            "F": self._shared(nodes),
            "C": self._shared(cpus),
            "t": {"mixed": "mix", "allocated": "alloc"}.get(self.state, self.state),
            "T": self.state,
            "N": offer.instance_type if offer else "",
            "n": offer.instance_type if offer else "",
            "c": f"{offer.cpus:g}" if offer else "0",
            "Y": f"{offer.cpus:g}" if offer else "0",
            "z": f"1:{offer.cpus:g}:1" if offer else "0:0:0",
            "m": str(offer.memory >> 20) if offer else "0",
            "e": str(offer.memory >> 20) if offer else "0",
            "G": f"gpu:{offer.gpu}:{offer.gpu_count}" if offer and offer.gpu_count else "(null)",
        }[letter]

    def _shared(self, whole: int) -> str:
        """allocated/idle/other/total; what is free is known of whole nodes only."""
        if not self.is_up:
            return f"0/0/{whole}/{whole}"
        offer = self.offer
        share = 1.0 if offer is None or offer.available is None else offer.available / (offer.total or 1)
        return f"{whole - int(whole * share)}/{int(whole * share)}/0/{whole}"


_TITLES = {
    "P": "PARTITION", "R": "PARTITION", "a": "AVAIL", "D": "NODES", "A": "NODES(A/I)", "F": "NODES(A/I/O/T)",
    "C": "CPUS(A/I/O/T)", "t": "STATE", "T": "STATE", "N": "NODELIST", "n": "HOSTNAMES", "c": "CPUS", "Y": "CORES",
    "z": "S:C:T", "m": "MEMORY", "e": "FREE_MEM", "G": "GRES",
}  # fmt: skip
_SAME = {
    "l": ("TIMELIMIT", "infinite"), "L": ("DEFAULTTIME", "n/a"), "f": ("AVAIL_FEATURES", "(null)"),
    "b": ("ACTIVE_FEATURES", "(null)"), "s": ("JOB_SIZE", "1-infinite"), "r": ("ROOT", "no"), "h": ("OVERSUBSCRIBE", "YES"),
    "g": ("GROUPS", "all"), "d": ("TMP_DISK", "0"), "w": ("WEIGHT", "1"), "E": ("REASON", "none"), "X": ("SOCKETS", "1"),
    "Z": ("THREADS", "1"), "O": ("CPU_LOAD", "N/A"), "p": ("PRIO_TIER", "1"), "S": ("ALLOCNODES", "all"),
    "B": ("MAX_CPUS_PER_NODE", "UNLIMITED"), "I": ("PRIO_JOB_FACTOR", "1"), "H": ("TIMESTAMP", "Unknown"),
    "u": ("USER", "Unknown"), "U": ("USER", "Unknown"), "v": ("VERSION", "22.05.8"), "V": ("CLUSTER", "N/A"),
}  # fmt: skip
"""Letters with the same answer for all."""


@click.command("sinfo")
@click.option("-p", "--partition", callback=words, help="Only these profiles.")
@click.option("-h", "--noheader", is_flag=True, help="Leave out the titles.")
@click.option("-o", "--format", "template", envvar="SINFO_FORMAT", help="Columns as %P %D %t.")
@click.option("-t", "--states", "--state", callback=words, help="Only in these states, as idle, mix or down.")
@click.option("-n", "--nodes", callback=words, help="Only what is called so.")
@click.option("-s", "--summarize", is_flag=True, help="How many are in use, in one column.")
@click.option("-N", "--Node", "by_node", is_flag=True, help="What it is stands first.")
@click.option("-l", "--long", "is_long", is_flag=True, help="Longer lines.")
@habit("-a", "--all")
@habit("-e", "--exact")
@habit("-r", "--responding")
@habit("-v", "--verbose")
@habit("--noconvert")
@unkept("-M", "--clusters")
@version
@click.option(
    "--json", "as_json", is_flag=True, help="As sinfo --json of Slurm 22.05 has it, with a node for each offer."
)
def command(
    partition: Sequence[str],
    states: Sequence[str],
    nodes: Sequence[str],
    noheader: bool,
    template: str | None,
    summarize: bool,
    by_node: bool,
    is_long: bool,
    as_json: bool,
) -> None:
    """Show where tasks can run: each profile is a partition, what it offers stands where nodes do."""
    rows = [row for row in _rows(Flow()) if not partition or row.profile in partition]
    wanted = {_STATES.get(word.lower(), word.lower()) for word in states}
    rows = [row for row in rows if not wanted or row.state in wanted or "all" in wanted]
    rows = [row for row in rows if not nodes or row.text("N") in nodes]
    if as_json:
        click.echo(json_shape.sinfo([_node(row) for row in rows if row.offer]))
        return
    if is_long and not template and not noheader:
        sys.stdout.write(now())
    _print(rows, template or _layout(summarize, by_node, is_long), not noheader)


_STATES = {"mix": "mixed", "alloc": "allocated"}


def _layout(summarize: bool, by_node: bool, is_long: bool) -> str:
    if by_node:
        return _LONG_BY_NODE if is_long else _BY_NODE
    return _BRIEF if summarize else _LONG if is_long else _DEFAULT


def _print(rows: Sequence[Row], template: str, header: bool) -> None:
    titles = {**_TITLES, **{letter: title for letter, (title, _) in _SAME.items()}}
    found = list(PERCENT.finditer(template))
    unknown = [match[3] for match in found if match[3] not in titles]
    if unknown or not found:
        letters = " ".join(sorted(titles))
        raise click.BadParameter(f"there is no %{unknown[0] if unknown else template}; there are {letters}")
    lines = [[titles[match[3]] for match in found]] if header else []
    lines += [[row.text(match[3]) for match in found] for row in rows]
    for line in lines:
        cells = (fitted(text, match[1], _wide(match, rows)) + match[4] for text, match in zip(line, found, strict=True))
        sys.stdout.write("".join(cells) + "\n")


def _wide(match: re.Match[str], rows: Sequence[Row]) -> str:
    """As wide as was asked for, and as the longest name."""
    if match[2] and match[3] == "N":
        return str(max(int(match[2]), *(len(row.text("N")) for row in rows), 0))
    return match[2]


def _rows(flow: Flow) -> Iterator[Row]:
    settings = flow.session.settings
    configured = {profile.provider for profile in settings.profiles.values()}
    for name in sorted({*settings.profiles, *(set(flow.provider_names()) - configured)}):
        default = name == settings.default
        try:
            offers = flow.offers(name)
        except FlowError as error:
            click.echo(f"sinfo: {name}: {error.message}", err=True)
            yield Row(name, default, None, is_up=error.code == "CAPABILITY")
            continue
        yield from (Row(name, default, offer) for offer in offers)


def _node(row: Row) -> dict[str, object]:
    offer = row.offer
    assert offer is not None
    return {
        "name": offer.instance_type,
        "hostname": offer.instance_type,
        "cpus": int(offer.cpus),
        "real_memory": offer.memory >> 20,
        "gres": "" if not offer.gpu_count else f"gpu:{offer.gpu}:{offer.gpu_count}",
        "state": row.state,
        "state_flags": [],
        "partitions": [row.profile],
    }
