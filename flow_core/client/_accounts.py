"""Logging in and out: a profile's credentials in the keyring, or a 0600 file where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flow_core.errors import CapabilityError, ConfigError

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.types import AuthField


def login_fields(session: Session, name: str | None) -> list[AuthField]:
    """Return what a login asks for. Raises CapabilityError where there is nothing to log in to."""
    provider = session.provider(session.choose(name))
    if "flow_auth_fields" not in provider.supports:
        raise CapabilityError(f"{provider.profile} needs no login", "tasks run there without one")
    return provider.auth_fields()


def login(session: Session, name: str | None, values: Mapping[str, str]) -> dict[str, str]:
    """Keep ``values`` by field for a profile; return field -> the store that has it now."""
    from flow_core.secrets import set_

    profile = session.choose(name)
    known = [field.name for field in login_fields(session, name)]
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(f"{profile.name} has no credential {', '.join(unknown)}", f"it has: {', '.join(known)}")
    place = f"flow/{profile.provider}/{profile.name}"
    return {field: set_(f"{place}/{field}", value, session.secret_stores) for field, value in values.items()}


def logout(session: Session, name: str | None) -> list[str]:
    """Forget what was kept for a profile; return the fields that there were."""
    from flow_core.secrets import delete, list_names

    profile = session.choose(name)
    place = f"flow/{profile.provider}/{profile.name}/"
    kept = [word for word in list_names(session.secret_stores) if word.startswith(place)]
    return [word.removeprefix(place) for word in sorted(kept) if delete(word, session.secret_stores)]
