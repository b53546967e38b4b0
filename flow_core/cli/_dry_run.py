"""What ``flow run --dry-run`` says of a plan."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flow_core.cli._table import pairs
from flow_core.cli._words import money
from flow_core.spec import to_mapping
from flow_core.types import format_duration, format_size

if TYPE_CHECKING:
    from flow_core.bundle import Selection
    from flow_core.client import Flow, Plan

_INDENT = "  "
_SHOWN = 3


def as_data(flow: Flow, plan: Plan) -> dict[str, object]:
    """Return the plan for a program."""
    code = flow.code(plan)
    price = plan.price_per_hour
    return {
        "dry_run": True,
        "name": plan.name,
        "provider": plan.profile.provider,
        "profile": plan.profile.name,
        "config": to_mapping(plan.config),
        "price_per_hour": price,
        "total_price_per_hour": None if price is None else price * plan.config.num_instances,
        "code": {"mode": code.mode, "root": code.root, **_selected(code.selection)},
        "unchecked": plan.unchecked,
        "warnings": plan.warnings,
        "preview": flow.preview(plan),
    }


def describe(flow: Flow, plan: Plan, verbose: bool) -> str:
    """Return the plan for a person; ``verbose`` adds the config and what would be sent."""
    text = pairs(_facts(flow, plan))
    if verbose:
        text += _block("config", _yaml(to_mapping(plan.config)))
        text += "".join(_block(name, shown) for name, shown in flow.preview(plan).items())
    return text


def _facts(flow: Flow, plan: Plan) -> Iterator[tuple[str, str]]:
    config, profile = plan.config, plan.profile
    yield "task", plan.name
    yield "command", _command(config.command)
    yield "on", profile.name if profile.name == profile.provider else f"{profile.name} ({profile.provider})"
    yield "type", config.instance_type or ""
    yield "nodes", str(config.num_instances)
    yield "time limit", "" if config.time_limit is None else format_duration(config.time_limit)
    yield "price", _price(plan)
    yield from _code(flow, plan)
    yield (
        "volumes",
        ", ".join(f"{v.name} at {v.target}{' (made if missing)' if v.create else ''}" for v in config.volumes),
    )
    yield "mounts", ", ".join(f"{mount.source} at {mount.target}" for mount in config.mounts)
    yield "secrets", ", ".join(ref.name for ref in config.secrets)
    yield "not checked", ", ".join(plan.unchecked)
    yield "nothing done", "leave out --dry-run to run it"


def _command(command: str | tuple[str, ...] | None) -> str:
    return shlex.join(command) if isinstance(command, tuple) else command or "a function"


def _price(plan: Plan) -> str:
    if plan.price_per_hour is None:
        return "none known"
    total = plan.price_per_hour * plan.config.num_instances
    return f"{money(total)} USD per hour ({plan.config.num_instances} x {money(plan.price_per_hour)})"


def _code(flow: Flow, plan: Plan) -> Iterator[tuple[str, str]]:
    code = flow.code(plan)
    yield "code", f"{code.mode} {code.root}" if code.mode != "none" else "none"
    if code.selection is not None:
        chosen = code.selection
        yield "files", f"{len(chosen.files)} ({format_size(chosen.total_bytes)})"
        yield "biggest", _few([f"{name} ({format_size(size)})" for name, size in chosen.biggest])
        yield "left out", _few(chosen.left_out_secrets, "looks like a key")
        yield "links", _few(chosen.outside_links, "leads outside")


def _few(names: Sequence[str], why: str = "") -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more + (f" ({why})" if why and names else "")


def _selected(selection: Selection | None) -> dict[str, object]:
    if selection is None:
        return {}
    return {
        "files": len(selection.files),
        "bytes": selection.total_bytes,
        "biggest": [{"path": path, "bytes": size} for path, size in selection.biggest],
        "left_out_secrets": selection.left_out_secrets,
        "outside_links": selection.outside_links,
    }


def _block(title: str, text: str) -> str:
    return f"\n{title}\n" + "".join(f"{_INDENT}{line}\n" for line in text.splitlines())


def _yaml(mapping: object) -> str:
    import yaml

    return str(yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True))
