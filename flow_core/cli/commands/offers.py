"""``flow offers``."""

from __future__ import annotations

import click

from flow_core.cli._envelope import emit
from flow_core.cli._options import json_option, provider_option
from flow_core.cli._table import show
from flow_core.cli._words import money, span
from flow_core.client import Flow
from flow_core.errors import ConfigError
from flow_core.types import Offer, OfferRequest, Resources, format_size, parse_instance_type

HEADER = ("TYPE", "GPU", "MEMORY", "CPUS", "RAM", "REGION", "KIND", "USD/H", "FREE", "WAIT", "NOTE")


@click.command("offers")
@provider_option
@click.option("--gpu", metavar="TYPE", help="Only what has this GPU, as h100 or 8xh100.")
@click.option("--region", metavar="REGION", help="Only this region.")
@click.option("--spot/--no-spot", default=None, help="Only preemptible machines, or only others.")
@json_option
def command(provider: str | None, gpu: str | None, region: str | None, spot: bool | None, as_json: bool) -> None:
    """List what a provider could give, cheapest first."""
    found = Flow().offers(provider, OfferRequest(_resources(gpu), gpu, region=region, spot=spot))
    if as_json:
        emit(found)
    else:
        show(HEADER, map(_line, found), empty="no offer fits")


def _resources(gpu: str | None) -> Resources:
    if gpu is None:
        return Resources()
    try:
        kind = parse_instance_type(gpu)
    except ValueError as error:
        raise ConfigError(f"--gpu: {error}", "write h100 or 8xh100") from error
    return Resources() if kind.is_cpu else Resources(gpu=kind.kind, gpu_count=kind.count or 1)


def _line(offer: Offer) -> tuple[str, ...]:
    return (
        offer.instance_type,
        f"{offer.gpu_count}x{offer.gpu}" if offer.gpu_count else "",
        format_size(offer.gpu_memory) if offer.gpu_memory else "",
        f"{offer.cpus:g}" if offer.cpus else "",
        format_size(offer.memory) if offer.memory else "",
        offer.region or "",
        "spot" if offer.spot else "",
        money(offer.price_per_hour),
        "" if offer.available is None else str(offer.available),
        "" if offer.wait_seconds is None else span(offer.wait_seconds),
        offer.note,
    )
