"""``flow mithril``: what the platform holds that no task accounts for."""

from __future__ import annotations

import sys

import click

from flow_mithril._settings import MithrilSettings


@click.group(name="mithril", short_help="Leftovers and paused machines at Mithril.")
def mithril() -> None:
    """Look after what the profile's project holds."""


@mithril.command(short_help="List what is left over, and end it.")
@click.option("--profile", metavar="NAME", help="Profile; default: the only one of Mithril.")
@click.option("--yes", is_flag=True, help="End what is listed.")
def sweep(profile: str | None, yes: bool) -> None:
    """List machines that no open task of this machine's journal uses and keys that outlived theirs; end them with --yes.

    Only what carries Flow's names is looked at. Bids that another machine's Flow placed are listed too: look before
    you say --yes. Volumes are never touched.
    """
    from flow_core import Flow
    from flow_core.types import LIVE_STATES, parse_ref

    flow = Flow()
    provider = flow.provider(profile or "mithril")
    flow.refresh()
    tasks = flow.tasks(limit=None, states=LIVE_STATES, profile=provider.profile)
    used = {parse_ref(task.row.ref)[2].id.partition("+")[0] for task in tasks if task.row.ref}
    left = [found for found in provider.resources() if found.id not in used]
    for found in left:
        price = f"  up to {found.price_per_hour} USD per hour" if found.price_per_hour is not None else ""
        click.echo(f"{found.kind}  {found.id}  {found.name}{price}")
        if yes:
            provider.delete_resource(found.id)
    said = "nothing is left over" if not left else "ended" if yes else "nothing done; end them with --yes"
    click.echo(f"flow: {said}", file=sys.stderr)


@mithril.command(short_help="Start a paused machine again.")
@click.argument("task")
def resume(task: str) -> None:
    """Start the machines of TASK again, which were paused after its end: its logs and its exit code are on their disks.

    They are billed again until a flow command has fetched the end (flow wait TASK).
    """
    from flow_core import Flow
    from flow_core.errors import NotFoundError
    from flow_core.settings import build
    from flow_core.types import parse_ref
    from flow_mithril._api import Api
    from flow_mithril._orders import Orders

    flow = Flow()
    row = flow.task(task).row
    if row.ref is None or row.provider != "mithril":
        raise NotFoundError(f"{row.id} is not at Mithril", "name another task")
    settings = build(MithrilSettings, flow.session.choose(row.profile))
    Orders(Api(settings.api_url, settings.api_key)).pause(parse_ref(row.ref)[2].id.partition("+")[0], False)
    click.echo(f"flow: the machines of {row.id} start again; fetch its end with: flow wait {row.id}", file=sys.stderr)
