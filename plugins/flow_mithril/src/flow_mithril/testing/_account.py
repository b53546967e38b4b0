"""Identity, projects, quotas, API keys, SSH keys."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

from flow_mithril.testing._clock import read
from flow_mithril.testing._refusal import Refusal
from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, new_fid, shown

ENDED = ("Terminated", "Canceled", "Ended")


def caller(world: World, authorization: str) -> Row:
    """Return the API key of a request's header; refuse with 401."""
    secret = authorization.removeprefix("Bearer ")
    for key in world.all("api_keys", deactivated_at=None):
        if key["deactivated_at"] is None and key["_secret"] == secret and read(key["expires_at"]) > world.clock.now():
            return key
    raise Refusal(401, "Invalid or missing API key")


@answers("GET", "/v2/me")
def me(world: World, call: Call) -> Row:
    return world.me


@answers("GET", "/v2/me/teammates")
def teammates(world: World, call: Call) -> list[Row]:
    shared = {name: world.me[name] for name in ("id", "fid", "user_name", "email", "organization_role")}
    return [{**shared, "project_ids": list(world.table("projects")), "deactivated_at": None}]


@answers("GET", "/v2/projects")
def projects(world: World, call: Call) -> list[Row]:
    return world.all("projects")


@answers("GET", "/v2/quotas")
def quotas(world: World, call: Call) -> list[Row]:
    project = world.project(call.query["project"])
    spot = [_spot_quota(world, project, kind) for kind in world.all("types")]
    reserved = [_reserved_quota(world, project, kind) for kind in world.all("types")]
    return [
        *spot,
        *reserved,
        _quota(project, None, "Storage", world.settings.storage_quota, storage_used(world, project)),
    ]


def spot_used(world: World, project: str, kind: Row) -> int:
    """Return the instances that the live bids of a project ask for."""
    bids = world.all("bids", project=project, instance_type=kind["fid"])
    return sum(bid["instance_quantity"] for bid in bids if bid["status"] not in ENDED)


def hours_used(world: World, project: str, kind: Row) -> float:
    """Return the instance-hours that the live reservations of a project have before them."""
    rows = world.all("reservations", project=project, instance_type=kind["fid"], _hidden=False)
    live = [row for row in rows if row["status"] not in ENDED]
    return sum(int(row["instance_quantity"]) * (_ahead(world, row) / timedelta(hours=1)) for row in live)


def _ahead(world: World, row: Row) -> timedelta:
    return max(read(row["end_time"]) - max(read(row["start_time"]), world.clock.now()), timedelta())


def storage_used(world: World, project: str) -> int:
    """Return the GB of a project's volumes."""
    volumes = world.all("volumes", project=project)
    return sum(volume["capacity_gb"] for volume in volumes if volume["deleted_at"] is None)


def _spot_quota(world: World, project: str, kind: Row) -> Row:
    return _quota(project, kind, "Spot", world.settings.spot_quota, spot_used(world, project, kind))


def _reserved_quota(world: World, project: str, kind: Row) -> Row:
    used = ceil(hours_used(world, project, kind))
    return _quota(project, kind, "Reservations", world.settings.reservation_quota, used, "instance-hours")


def _quota(project: str, kind: Row | None, product: str, total: int, used: int, units: str = "") -> Row:
    what = {"instance_type": kind["fid"] if kind else None, "name": f"{product} {kind['name'] if kind else 'capacity'}"}
    units = units or ("instances" if kind else "GB")
    fid = f"quota_{product.lower()}_{kind['fid'] if kind else project}"
    amounts = {"total_quantity": total, "used_quantity": used, "units": units}
    return {"fid": fid, "project": project, "product_type": product, **what, **amounts}


@answers("GET", "/v2/organizations/{organization_id}/quotas")
def organization_quotas(world: World, call: Call) -> list[Row]:
    if call.path["organization_id"] != world.me["organization_id"]:
        raise Refusal(404, "Organization not found")
    return [_storage_quota(world, region) for region in world.all("regions")]


def _storage_quota(world: World, region: Row) -> Row:
    live = [row for row in world.all("volumes", region=region["name"]) if row["deleted_at"] is None]
    used, granted = sum(row["capacity_gb"] for row in live), world.settings.storage_quota
    limit = {"granted": granted, "used": used, "remaining": granted - used, "limit_source": "organization"}
    place = {"cluster_id": region["id"], "region": region["name"], "product_type": "storage_gib"}
    return {**place, **limit, "units": "GiB", "usage_by_project": []}


@answers("GET", "/v2/api-keys")
def api_keys(world: World, call: Call) -> list[Row]:
    return [shown(row) for row in world.all("api_keys")]


@answers("POST", "/v2/api-keys", 201)
def create_api_key(world: World, call: Call) -> Row:
    if len(call.body["name"]) >= 60:
        raise Refusal(400, "API key name must be less than 60 characters")
    now, expires = world.clock.now(), read(call.body["expires_at"])
    if not now < expires <= now + timedelta(days=365):
        raise Refusal(400, "API key expiration must be between now and 1 year from now")
    secret = "fkey_" + "".join(new_fid("")[1:] for _ in range(2))
    row = {"fid": new_fid("apikey"), "name": call.body["name"], "created_at": world.clock.stamp()}
    row |= {
        "expires_at": call.body["expires_at"],
        "deactivated_at": None,
        "snippet": f"{secret[:8]}...",
        "_secret": secret,
    }
    return {**shown(world.add("api_keys", row)), "secret": secret}


@answers("DELETE", "/v2/api-keys/{key_fid}", 204)
def revoke_api_key(world: World, call: Call) -> None:
    key = world.one("api_keys", call.path["key_fid"], "API key")
    if key["deactivated_at"] is not None:
        raise Refusal(400, "API key is already deactivated")
    key["deactivated_at"] = world.clock.stamp()


@answers("GET", "/v2/ssh-keys")
def ssh_keys(world: World, call: Call) -> list[Row]:
    return world.all("ssh_keys", project=world.project(call.query["project"]))


@answers("POST", "/v2/ssh-keys", 201)
def create_ssh_key(world: World, call: Call) -> Row:
    project, public = world.project(call.body["project"]), call.body.get("public_key")
    private = None
    if public is None:
        private, public = _pair()
    elif not public.startswith(("ssh-", "ecdsa-", "sk-")):
        raise Refusal(400, "Invalid SSH public key")
    row = {"fid": new_fid("sshkey"), "name": call.body["name"], "project": project, "public_key": public.strip()}
    row |= {"created_at": world.clock.stamp(), "required": call.body.get("required", False)}
    return {**world.add("ssh_keys", row), "private_key": private}


def _pair() -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", str(path)], check=True)
        return path.read_text("ascii"), path.with_suffix(".pub").read_text("ascii")


@answers("PATCH", "/v2/ssh-keys/{ssh_key_fid}")
def update_ssh_key(world: World, call: Call) -> Row:
    key = world.one("ssh_keys", call.path["ssh_key_fid"], "SSH key")
    key["required"] = call.body["required"]
    return key


@answers("DELETE", "/v2/ssh-keys/{ssh_key_fid}", 204)
def delete_ssh_key(world: World, call: Call) -> None:
    fid = world.one("ssh_keys", call.path["ssh_key_fid"], "SSH key")["fid"]
    orders = [*world.all("bids"), *world.all("reservations")]
    if any(fid in order["launch_specification"]["ssh_keys"] for order in orders if order["status"] not in ENDED):
        raise Refusal(409, "SSH key is in use by an active bid or reservation")
    del world.table("ssh_keys")[fid]


def checked_keys(world: World, project: str, fids: list[Any]) -> None:
    """Refuse keys that are not the project's, and a list without those that it requires."""
    for fid in fids:
        if world.one("ssh_keys", fid, "SSH key")["project"] != project:
            raise Refusal(404, "SSH key not found")
    for key in world.all("ssh_keys", project=project, required=True):
        if key["fid"] not in fids:
            raise Refusal(400, f"SSH key {key['fid']} is required in this project")
