"""What providers hold for us beside tasks: kept machines, minted keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from flow_core.errors import CapabilityError, ConflictError, NotFoundError

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.journal import TaskRow
    from flow_core.types import Resource


@attrs.frozen
class Held:
    """What one profile's provider holds; ``error`` says why that is not known."""

    profile: str
    resources: tuple[Resource, ...] = ()
    error: str = ""


def held(session: Session, profile: str | None) -> list[Held]:
    """Ask every profile, or one. One that cannot answer keeps nobody from the others; a named one raises."""
    if profile is not None:
        return [_of(session, profile)]
    return [_tried(session, name) for name in sorted(session.settings.profiles)]


def _tried(session: Session, profile: str) -> Held:
    from flow_core.errors import FlowError

    try:
        return _of(session, profile)
    except FlowError as error:
        return Held(profile, error=error.message)


def _of(session: Session, profile: str) -> Held:
    provider = session.provider(profile)
    known = "flow_resource_list" in provider.supports
    return Held(provider.profile, tuple(provider.resources()) if known else ())


def give_back(session: Session, name: str, profile: str | None) -> bool:
    """End what has this id or name, else what is held for the ended task of this name; False when it was gone.

    Raises NotFoundError, and ConflictError for two of a name and for a task that has not ended.
    """
    asked = held(session, profile)
    found = [(one.profile, thing) for one in asked for thing in one.resources if name in (thing.id, thing.name)]
    if not found and (row := _task(session, name, profile)) is not None:
        return _release(session, row)
    if not found:
        unknown = "; ".join(f"{one.profile} could not be asked: {one.error}" for one in asked if one.error)
        raise NotFoundError(
            f"nothing called {name!r} is held" + (f" ({unknown})" if unknown else ""), "flow machines list"
        )
    if len(found) > 1:
        raise ConflictError(f"{len(found)} things are called {name!r}", "name one by its id, or say --provider")
    where, thing = found[0]
    provider = session.provider(where)
    if "flow_resource_delete" not in provider.supports:
        raise CapabilityError(f"{where} gives nothing back by itself", "see its own tools")
    return provider.delete_resource(thing.id)


def _task(session: Session, name: str, profile: str | None) -> TaskRow | None:
    """Return the task of this name whose provider can be asked to give its machines back."""
    try:
        row = session.journal.find(name)
    except NotFoundError:
        return None
    if profile not in (None, row.profile) or row.ref is None:
        return None
    return row if "flow_provision_release" in session.provider(row.profile).supports else None


def _release(session: Session, row: TaskRow) -> bool:
    from flow_core.client._refresh import refresh

    refresh(session, [row.id])
    row = session.journal.task(row.id)
    if not row.is_final:
        raise ConflictError(f"{row.id} is {row.state}: its machines are its own", f"flow cancel {row.id}")
    return release(session, row)


def release(session: Session, row: TaskRow) -> bool:
    """Give the machines of an ended task back, and tell that; False when they were gone."""
    from flow_core.types import parse_ref

    was_held = session.provider(row.profile).release(parse_ref(row.ref or "")[2])
    if was_held:
        session.host.event(session.journal.add_event("task.released", row.id, {"profile": row.profile}).event)
    return was_held
