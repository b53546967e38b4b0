"""What would run: a config that was checked against its provider, and which checks could not be made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from flow_core.client._needs import not_kept, not_there
from flow_core.errors import ConfigError, FlowError
from flow_core.types import FrontendTask, OfferRequest, PolicyContext, Problem, TaskConfig

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.faces import Provider
    from flow_core.settings import Profile, Question


@attrs.frozen
class Plan:
    """A task that may be submitted; nothing has happened yet. ``price_per_hour`` is USD per node, None when unknown.

    ``task`` is what was read, when it was read from a file. ``questions`` are what the profile's settings leave to a
    person; each is among the warnings.
    """

    config: TaskConfig
    name: str
    profile: Profile
    provider: Provider
    warnings: tuple[Problem, ...] = ()
    unchecked: tuple[str, ...] = ()
    price_per_hour: Decimal | None = None
    task: FrontendTask | None = None
    questions: tuple[Question, ...] = ()


def make_plan(session: Session, config: TaskConfig, priced: bool = False) -> Plan:
    """Choose the provider, ask every policy, and check everything at once. Raises ConfigError with all problems.

    ``priced``: also look for the price when no cap and no policy asks for it.
    """
    from flow_core.spec import default_name

    profile = session.choose(None, config.provider)
    provider = session.provider(profile)
    config = _with_defaults(config, profile)
    priced = priced or config.max_price_per_hour is not None or session.host.answers("flow_task_config")
    price, price_note = _price(provider, config) if priced else (None, "")
    asked, config = config, _ask_policies(session, config, profile, price)
    if priced and config != asked:
        price, price_note = _price(provider, config)
    problems, unchecked = _check(session, provider, config, price)
    if profile.gpu_substitute == "none" and any(p.path == "instance_type" and p.severity == "error" for p in problems):
        config, note = _without_gpus(config)
        problems, unchecked = _check(session, provider, config, price)
        problems = [note, *problems]
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        raise ConfigError(_summary(errors, profile), problems=errors)
    questions = provider.questions(profile)
    return Plan(
        config=config,
        name=config.name or default_name([config.function.name] if config.function else config.command),
        profile=profile,
        provider=provider,
        warnings=(*(p for p in problems if p.severity != "error"), *(asked.problem() for asked in questions)),
        unchecked=(*unchecked, *([price_note] if price_note else [])),
        price_per_hour=price,
        questions=tuple(questions),
    )


def _summary(errors: list[Problem], profile: Profile) -> str:
    head = f"{len(errors)} problems" if len(errors) > 1 else "1 problem"
    return f"{head} with this task on {profile.name}"


def _without_gpus(config: TaskConfig) -> tuple[TaskConfig, Problem]:
    """Return the config without its claim on GPUs, and what to tell the user: the profile allows that."""
    asked = config.instance_type or config.resources.gpu
    resources = attrs.evolve(config.resources, gpu=None, gpu_count=0, gpu_memory=None)
    note = Problem(
        "instance_type", "GPU_SUBSTITUTE", f"there is no {asked} here: it runs without a GPU", severity="warning"
    )
    return attrs.evolve(config, instance_type=None, resources=resources), note


def _with_defaults(config: TaskConfig, profile: Profile) -> TaskConfig:
    """Lay the profile's ``defaults:`` below the config: they fill what the config leaves at its default."""
    if not profile.defaults:
        return config
    from flow_core.spec import merge, read_mapping, user_form

    merged = merge(profile.defaults, user_form(config))
    return read_mapping(merged, file=f"profile {profile.name}", providers=[profile.provider, *config.options])


def _ask_policies(session: Session, config: TaskConfig, profile: Profile, price: Decimal | None) -> TaskConfig:
    from flow_core.spec import read_mapping, user_form

    context = PolicyContext(
        provider=profile.provider,
        profile=profile.name,
        price_per_hour=None if price is None else str(price),
        user=session.environ.get("USER", "") or str(os.getuid()),
    )
    return session.host.policy(config, context, lambda c: read_mapping(user_form(c), providers=list(c.options)))


def _check(
    session: Session, provider: Provider, config: TaskConfig, price: Decimal | None
) -> tuple[list[Problem], list[str]]:
    from flow_core.bundle import rooted

    problems = [
        *_beyond(provider, config, price),
        *_options(provider, config),
        *not_there(session, provider, config),
        *not_kept(session, provider, config),
    ]
    if "flow_provision_check" not in provider.supports:
        return problems, ["quota and availability"]
    return [*problems, *provider.check(rooted(config, session.cwd))], []


def _options(provider: Provider, config: TaskConfig) -> Sequence[Problem]:
    try:
        provider.options(config)
    except ConfigError as error:
        return error.problems
    return ()


def _beyond(provider: Provider, config: TaskConfig, price: Decimal | None) -> Iterator[Problem]:
    """Name what the config asks for and the provider cannot do at all."""
    facts, name = provider.facts, provider.profile
    cannot = {
        "image": (config.image is not None and not facts.images, "run container images"),
        "num_instances": (config.num_instances > 1 and not facts.multi_node, "run a task on several nodes"),
        "depends_on": (bool(config.depends_on) and not facts.dependencies, "make one task wait for another"),
        "spot": (config.spot is not None and not facts.spot, "choose between spot and other machines"),
        "region": (config.region is not None and not facts.regions, "choose a region"),
        "volumes": (bool(config.volumes) and "flow_volume_list" not in provider.supports, "keep volumes"),
        "health": (config.health is not None and not facts.services, "watch a service's health"),
        "restart": (config.restart != "no" and not facts.services, "restart a service"),
    }
    for path, (wanted, what) in cannot.items():
        if wanted:
            yield Problem(path, "CAPABILITY", f"{name} cannot {what}", f"leave out {path} or use another provider")
    if facts.max_nodes is not None and config.num_instances > facts.max_nodes:
        text = f"{name} runs at most {facts.max_nodes} nodes per task"
        yield Problem("num_instances", "TOO_MANY_NODES", text, "ask for fewer, or use another provider")
    yield from _over_price(config, price)


def _over_price(config: TaskConfig, price: Decimal | None) -> Iterator[Problem]:
    cap = config.max_price_per_hour
    if cap is None:
        return
    if price is None:
        yield Problem(
            "max_price_per_hour", "NO_PRICE", "no price is known here, so the cap cannot be kept", "leave it out"
        )
    elif price > cap:
        yield Problem(
            "max_price_per_hour",
            "PRICE",
            f"the cheapest offer is {price} USD per node and hour",
            f"raise it from {cap}",
        )


def _price(provider: Provider, config: TaskConfig) -> tuple[Decimal | None, str]:
    """Return the cheapest price of what fits, and what to say when there is none."""
    if "flow_provision_offers" not in provider.supports:
        return None, "price"
    request = OfferRequest(config.resources, config.instance_type, config.num_instances, config.region, config.spot)
    try:
        offers = provider.offers(request)
    except FlowError as error:
        return None, f"price ({error.message})"
    prices = [offer.price_per_hour for offer in offers if offer.price_per_hour is not None]
    return (min(prices), "") if prices else (None, "")
