"""Which addresses content and signatures may be sent to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from flow_core import ConfigError


def check_endpoint(url: str) -> None:
    """Refuse an endpoint that content and signatures would travel to in the clear. Raises ConfigError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ConfigError("endpoint_url must be https://HOST[:PORT]", "leave out a user and a query")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ConfigError(
            f"endpoint_url is plain http to {parts.hostname}: content and signatures could be read on the way",
            "use https; http is for services on this machine only",
        )


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
