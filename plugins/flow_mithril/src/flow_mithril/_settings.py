"""What a profile of this provider may set."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from flow_core.secrets import Credential

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ENDS = {
    "key": "by itself, with an API key of its own, made for it, expiring, revoked when it has ended. Mithril has no "
    "narrower keys: until then it can do what your account can, and the task could read it",
    "client": "it waits an hour (hold) for a flow command, then switches itself off; it is not known whether Mithril "
    "bills a machine that is off",
    "off": "it stays, and is billed, until a flow command comes or max_lifetime (a week) is over",
}


def _bare(url: str) -> str:
    return url.rstrip("/")


def _safe(instance: object, attribute: object, value: str) -> None:  # noqa: ARG001 - attrs' form
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must begin with https://: your key goes there")


def _positive(instance: object, attribute: object, value: Any) -> None:  # noqa: ARG001 - attrs' form
    if value is not None and not value > 0:
        raise ValueError("must be more than 0")


@attrs.frozen
class MithrilSettings:
    """Settings of the provider ``mithril``; a key is all that most people need."""

    thread_safe = True

    api_key: Credential | None = attrs.field(
        default=None, metadata={"help": "API key (fkey_...).", "secret": True, "env": "MITHRIL_API_KEY"}
    )
    api_url: str = attrs.field(
        default="https://api.mithril.ai",
        converter=_bare,
        validator=_safe,
        metadata={"help": "Where the API is; https, or http on this machine.", "env": "MITHRIL_API_URL"},
    )
    project: str | None = attrs.field(
        default=None,
        metadata={"help": "Project, by name or id; default: the only one there is.", "env": "MITHRIL_PROJECT"},
    )
    region: str | None = attrs.field(
        default=None, metadata={"help": "Region of tasks that name none; default: any.", "env": "MITHRIL_REGION"}
    )
    instance_type: str | None = attrs.field(
        default=None,
        metadata={"help": "Type of tasks that ask for none; default: the cheapest machine without GPUs."},
    )
    ssh_key: Path | None = attrs.field(
        default=None,
        metadata={
            "help": "Private ssh key for the machines; default: one that is made for Flow.",
            "env": "MITHRIL_SSH_KEY",
        },
    )
    user: str = attrs.field(default="ubuntu", metadata={"help": "Whom ssh logs in as."})
    max_price_per_hour: Decimal | None = attrs.field(
        default=None,
        validator=_positive,
        metadata={"help": "Limit of bids whose task names none, USD per machine and hour; default: twice the price."},
    )
    self_release: str = attrs.field(
        default="ask",
        validator=attrs.validators.in_(("ask", *_ENDS)),
        metadata={
            "help": "How machines end when no client is there: key (a minted key that expires), client (the machine waits "
            "for a client, then powers off), off, or ask (once, at a terminal; as client until then).",
            "ask": "how shall a machine end when its task has ended and no flow command is there?",
            "answers": _ENDS,
        },
    )
    hold: float = attrs.field(
        default=3600.0,
        validator=attrs.validators.ge(0),
        metadata={"help": "How long a machine waits for a client to fetch the end.", "unit": "duration"},
    )
    delivery_wait: float = attrs.field(
        default=900.0,
        validator=_positive,
        metadata={"help": "How long a machine waits for code and secrets.", "unit": "duration"},
    )
    host_key_wait: float = attrs.field(
        default=60.0,
        validator=attrs.validators.ge(0),
        metadata={
            "help": "How long a machine that runs may take to bring its host key to the result store; the first one seen is "
            "trusted after that.",
            "unit": "duration",
        },
    )
    max_lifetime: float = attrs.field(
        default=7 * 86400.0,
        validator=_positive,
        metadata={"help": "The longest a machine may live, whatever its task does.", "unit": "duration"},
    )
    keep_logs: float = attrs.field(
        default=30 * 86400.0,
        validator=_positive,
        metadata={"help": "How long what was fetched from a machine stays here.", "unit": "duration"},
    )
    settle: float = attrs.field(
        default=120.0,
        validator=_positive,
        metadata={
            "help": "How long after a submit of unknown outcome a bid may still turn up; the market turns every 2 minutes.",
            "unit": "duration",
        },
    )
    fetch_bytes: int = attrs.field(
        default=1 << 30,
        metadata={"help": "Most bytes of logs and results that are fetched from a machine.", "unit": "size"},
    )


@attrs.frozen
class MithrilOptions:
    """What a task may say in its ``mithril:`` section."""

    reservation_end: str | None = attrs.field(
        default=None, metadata={"help": "Reserve the machines until then (ISO 8601, UTC) instead of bidding for them."}
    )
    image_version: str | None = attrs.field(default=None, metadata={"help": "Machine image, by its id."})
