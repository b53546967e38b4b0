"""Stored startup scripts."""

from __future__ import annotations

from flow_mithril.testing._routes import Call, answers
from flow_mithril.testing._world import Row, World, new_fid, paged, shown


@answers("GET", "/v2/lifecycle-scripts")
def scripts(world: World, call: Call) -> Row:
    found = world.all("scripts", project=world.project(call.query["project"]))
    return paged(found, call.query, {"last_modified_at": lambda row: row["last_modified_at"]})


@answers("POST", "/v2/lifecycle-scripts", 201)
def create_script(world: World, call: Call) -> Row:
    fid, now, user = new_fid("ls"), world.clock.stamp(), world.me["fid"]
    row = {"fid": fid, "name": call.body["name"], "description": call.body.get("description") or ""}
    row |= {"content_url": f"https://api.mithril.ai/v2/lifecycle-scripts/{fid}/content", "created_at": now}
    row |= {"created_by": user, "last_modified_at": now, "last_modified_by": user, "_content": call.body["content"]}
    row |= {"project": world.project(call.body["project"]), "scope": call.body.get("scope", "PROJECT")}
    return shown(world.add("scripts", row))


@answers("GET", "/v2/lifecycle-scripts/{ls_fid}/content")
def script_content(world: World, call: Call) -> str:
    return str(_script(world, call)["_content"])


@answers("PATCH", "/v2/lifecycle-scripts/{ls_fid}")
def update_script(world: World, call: Call) -> Row:
    row = _script(world, call)
    wanted = {name: call.body[name] for name in ("name", "description", "scope") if call.body.get(name) is not None}
    row.update(wanted, last_modified_at=world.clock.stamp(), last_modified_by=world.me["fid"])
    return shown(row)


@answers("DELETE", "/v2/lifecycle-scripts/{ls_fid}", 204)
def delete_script(world: World, call: Call) -> None:
    del world.table("scripts")[_script(world, call)["fid"]]


def _script(world: World, call: Call) -> Row:
    return world.one("scripts", call.path["ls_fid"], "Lifecycle script")
