"""What providers hold beside tasks is listed and given back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from flow_core.cli._schema import answers

if TYPE_CHECKING:
    from conftest import Answer, Program, Site

HOLDER = """
    import pathlib, os
    from decimal import Decimal
    from flow_local import LocalProvider
    import attrs
    from flow_core import Resource, hookimpl
    from flow_core.errors import ConflictError, UnavailableError

    class Holder(LocalProvider):
        @hookimpl
        def flow_resource_list(self):
            if "DOWN" in os.environ:
                raise UnavailableError("the cloud is down", "wait")
            gone = pathlib.Path(os.environ["FLOW_HOME"], "gone").exists()
            held = [Resource("m-1", "machine", "kept", 1e9, Decimal("2.5"), "t1"), Resource("m-2", "machine", "used")]
            return held[gone:]

        @hookimpl
        def flow_resource_delete(self, id):
            if id == "m-2":
                raise ConflictError("a task has just taken it", "cancel that task")
            pathlib.Path(os.environ["FLOW_HOME"], "gone").touch()
            return True

        @hookimpl
        def flow_provision_release(self, ref):
            mark = pathlib.Path(os.environ["FLOW_HOME"], ref.id)
            return not mark.exists() and mark.write_text("released") > 0

        @hookimpl
        def flow_volume_attach(self, id, ref):
            (volume,) = [one for one in self.flow_volume_list() if one.id == id]
            return attrs.evolve(volume, attached_to=(ref.id,))
"""


@pytest.fixture
def cloud(flow: Program, site: Site) -> Program:
    pytest.importorskip("flow_local")
    site.install("flow-holder", {"flow.providers": {"holder": "holder_plugin:Holder"}}, {"holder_plugin": HOLDER})
    for name, provider in (("cloud", "holder"), ("here", "local")):
        assert flow("config", "set", f"profiles.{name}.provider", provider).status == 0
    return flow


def _valid(answer: Answer) -> Answer:
    envelope = json.loads(answer.out)
    Draft202012Validator(answers()[envelope["schema"]]).validate(envelope)
    return answer


def test_what_all_profiles_hold_is_listed_with_its_price_and_age(cloud: Program) -> None:
    header, first, _ = cloud("machines", "list").out.splitlines()
    assert header.split() == ["PROFILE", "KIND", "ID", "NAME", "USD/H", "SINCE", "TASK"]
    assert first.split()[:5] == ["cloud", "machine", "m-1", "kept", "2.50"]
    rows = _valid(cloud("machines", "list", "--json")).data
    assert [(row["profile"], [thing["id"] for thing in row["resources"]]) for row in rows] == [
        ("cloud", ["m-1", "m-2"]),
        ("here", []),
    ]


def test_a_machine_is_released_by_name_or_id_and_then_gone(cloud: Program) -> None:
    assert _valid(cloud("machines", "release", "kept", "--json")).data == [{"id": "kept", "released": True}]
    assert cloud("machines", "release", "m-1").status == 66
    assert "m-1" not in cloud("machines", "list").out


def test_the_machine_of_an_ended_task_is_released_by_the_tasks_name(cloud: Program) -> None:
    cloud("run", "-q", "--provider", "cloud", "--name", "ended", "true")
    cloud("run", "-d", "--provider", "cloud", "--name", "lives", "sleep 60")

    assert cloud("machines", "release", "ended", "--json").data == [{"id": "ended", "released": True}]
    assert cloud("machines", "release", "ended", "--json").data == [{"id": "ended", "released": False}]
    answer = cloud("machines", "release", "lives")
    assert (answer.status, "its machines are its own" in answer.err) == (68, True), answer
    cloud("cancel", "lives")


LISTENER = """
    import json, os, pathlib
    from flow_core import hookimpl

    class Listener:
        @hookimpl
        def flow_event(self, event):
            with pathlib.Path(os.environ["FLOW_HOME"], "events").open("a") as file:
                print(event.kind, *event.data.values(), file=file)
"""


def test_plugins_are_told_what_was_given_back_and_deleted(cloud: Program, site: Site) -> None:
    site.install(
        "flow-listener", {"flow.plugins": {"listener": "listener_plugin:Listener"}}, {"listener_plugin": LISTENER}
    )
    cloud("run", "-q", "--provider", "cloud", "--name", "ended", "true")
    cloud("volume", "create", "disk", "--provider", "cloud")
    for _ in range(2):  # the second time there is nothing to tell
        cloud("machines", "release", "ended")
        cloud("volume", "delete", "disk", "--provider", "cloud", "--yes")
    told = Path(cloud.environ["FLOW_HOME"], "events").read_text().splitlines()
    assert [line for line in told if line.startswith(("volume.", "task.released"))] == [
        "volume.created cloud disk",
        "task.released cloud",
        "volume.deleted cloud disk",
    ]


def test_a_volume_is_attached_to_a_task_where_the_provider_does_that(cloud: Program) -> None:
    cloud("run", "-q", "--provider", "cloud", "--name", "ended", "true")
    cloud("volume", "create", "disk", "--provider", "cloud")
    assert len(_valid(cloud("volume", "attach", "disk", "ended", "--json")).data["attached_to"]) == 1

    cloud("run", "-q", "--provider", "here", "--name", "other", "true")
    cloud("volume", "create", "mine", "--provider", "here")
    assert cloud("volume", "attach", "mine", "other").status == 67


def test_what_a_task_takes_is_not_released(cloud: Program) -> None:
    answer = cloud("machines", "release", "m-2")
    assert answer.status != 0
    assert "a task has just taken it" in answer.err


def test_a_profile_that_cannot_be_asked_keeps_nobody_from_the_others(cloud: Program) -> None:
    answer = cloud("machines", "list", DOWN="1")
    assert answer.status == 69
    assert "cloud could not be asked: the cloud is down" in answer.err
    assert cloud("machines", "list", "--provider", "here", DOWN="1").status == 0


def test_a_pipe_gets_the_header_alone_where_nothing_is_held(flow: Program) -> None:
    answer = flow("machines", "list")
    assert answer.status == 0
    assert answer.out.split() == ["PROFILE", "KIND", "ID", "NAME", "USD/H", "SINCE", "TASK"]
