"""``flow slurm sinfo``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import attrs
import click

from flow_core import Flow, FlowError, Offer
from flow_slurm.commands import json_shape
from flow_slurm.commands.columns import _PERCENT, _fitted
from flow_slurm.commands.squeue import words

_DEFAULT = "%9P %.5a %.10l %.6D %.6t %N"


@attrs.frozen
class Row:
    """What one profile offers; ``offer`` None where it says nothing, or cannot be asked."""

    profile: str
    is_default: bool
    offer: Offer | None
    is_up: bool = True

    def text(self, letter: str) -> str:
        """Return what stands in the column of this letter. Raises KeyError."""
        offer = self.offer
        gpus = f"gpu:{offer.gpu}:{offer.gpu_count}" if offer and offer.gpu_count else "(null)"
        return {
            "P": self.profile + ("*" if self.is_default else ""),
            "R": self.profile,
            "a": "up" if self.is_up else "down",
            "l": "infinite",
            "D": str((offer.total or 1) if offer else 0),
            "t": "idle" if self.is_up else "down",
            "T": "idle" if self.is_up else "down",
            "N": offer.instance_type if offer else "",
            "c": f"{offer.cpus:g}" if offer else "0",
            "m": str(offer.memory >> 20) if offer else "0",
            "G": gpus,
            "f": "(null)",
        }[letter]


_TITLES = {
    "P": "PARTITION", "R": "PARTITION", "a": "AVAIL", "l": "TIMELIMIT", "D": "NODES", "t": "STATE", "T": "STATE",
    "N": "NODELIST", "c": "CPUS", "m": "MEMORY", "G": "GRES", "f": "AVAIL_FEATURES",
}  # fmt: skip


@click.command("sinfo")
@click.option("-p", "--partition", callback=words, help="Only these profiles.")
@click.option("-h", "--noheader", is_flag=True, help="Leave out the titles.")
@click.option("-o", "--format", "template", default=_DEFAULT, help="Columns as %P %D %t.")
@click.option("-s", "--summarize", is_flag=True, help="Accepted for what is typed by habit.")
@click.option("-N", "--Node", "by_node", is_flag=True, help="Accepted for what is typed by habit.")
@click.option("-l", "--long", "is_long", is_flag=True, help="Accepted for what is typed by habit.")
@click.option("-a", "--all", "everywhere", is_flag=True, help="Accepted for what is typed by habit.")
@click.option(
    "--json", "as_json", is_flag=True, help="As sinfo --json of Slurm 22.05 has it, with a node for each offer."
)
def command(partition: Sequence[str], noheader: bool, template: str, as_json: bool, **_habits: bool) -> None:
    """Show where tasks can run: each profile is a partition, what it offers stands where nodes do."""
    rows = [row for row in _rows(Flow()) if not partition or row.profile in partition]
    if as_json:
        click.echo(json_shape.sinfo([_node(row) for row in rows if row.offer]))
        return
    found = list(_PERCENT.finditer(template))
    unknown = [match[3] for match in found if match[3] not in _TITLES]
    if unknown or not found:
        raise click.BadParameter(
            f"there is no %{unknown[0] if unknown else template}; there are {' '.join(sorted(_TITLES))}"
        )
    lines = [[_TITLES[match[3]] for match in found]] if not noheader else []
    lines += [[row.text(match[3]) for match in found] for row in rows]
    for line in lines:
        cells = (_fitted(text, match[1], match[2]) + match[4] for text, match in zip(line, found, strict=True))
        sys.stdout.write("".join(cells) + "\n")


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
        "state": "idle",
        "state_flags": [],
        "partitions": [row.profile],
    }
