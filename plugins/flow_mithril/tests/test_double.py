"""The double answers as the service is known to, refuses as it does, and does what a test tells it to."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import requests

from flow_mithril.testing import Double, Settings
from flow_mithril.testing._routes import HANDLERS
from flow_mithril.testing._schema import Schema


class Client:
    """Asks a double as the first key's owner."""

    def __init__(self, double: Double) -> None:
        self.double = double
        self.key = double.settings.api_key

    def __call__(self, method: str, path: str, body: Any = None, status: int = 200, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = requests.request(method, self.double.url + path, json=body, params=query, headers=headers, timeout=10)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    @property
    def project(self) -> str:
        return str(self("GET", "/v2/projects")[0]["fid"])

    def kind(self, name: str = "a100-80gb.sxm.1x") -> str:
        return next(str(each["fid"]) for each in self("GET", "/v2/instance-types") if each["name"] == name)

    def volume(self, name: str = "data", interface: str = "Block", status: int = 201, **more: Any) -> Any:
        said = {"project": self.project, "name": name, "disk_interface": interface, "region": "us-central2-a"}
        return self("POST", "/v2/volumes", {**said, "size_gb": 10, **more}, status)

    def bid(self, name: str = "one", status: int = 201, launch: Any = None, **more: Any) -> Any:
        body = {
            "project": self.project,
            "region": "us-central2-a",
            "instance_type": self.kind(),
            "limit_price": "$5.00",
            "instance_quantity": 1,
            "name": name,
            "launch_specification": {"volumes": [], "ssh_keys": [], **(launch or {})},
        }
        return self("POST", "/v2/spot/bids", {**body, **more}, status)

    def state(self, bid: Any) -> str:
        return str(self("GET", f"/v2/spot/bids/{bid['fid']}")["status"])

    def instances(self, bid: Any) -> list[Any]:
        return list(self("GET", "/v2/instances", project=self.project, bid_fid_in=bid["fid"])["data"])


@pytest.fixture
def client(double: Double) -> Client:
    return Client(double)


def until(true: Callable[[], Any], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_operation_that_is_described_is_answered() -> None:
    assert {(each.method, each.path) for each in Schema().operations} == set(HANDLERS)


def test_a_key_that_is_not_known_is_refused(client: Client) -> None:
    client.key = "fkey_other"
    assert client("GET", "/v2/me", status=401) == {"detail": "Invalid or missing API key"}


def test_a_path_or_a_method_that_is_not_there_is_refused(client: Client) -> None:
    client("GET", "/v2/nothing", status=404)
    client("GET", "/v2/reservation/res_1", status=405)


def test_a_body_out_of_order_is_refused_field_by_field(client: Client) -> None:
    refused = client.bid(limit_price="12", instance_quantity="two", status=422)
    found = {(*problem["loc"], problem["type"]) for problem in refused["detail"]}
    assert found == {
        ("body", "limit_price", "string_pattern_mismatch"),
        ("body", "instance_quantity", "integer_type"),
    }
    missing = client("POST", "/v2/spot/bids", {}, status=422)["detail"]
    assert {"loc": ["body", "project"], "msg": "Field required", "type": "missing"} in missing


def test_a_query_out_of_order_is_refused_and_what_is_not_declared_is_let_through(client: Client) -> None:
    assert client("GET", "/v2/instances", status=422)["detail"][0]["loc"] == ["query", "project"]
    assert client("GET", "/v2/spot/bids", status=422, limit=101)["detail"][0]["loc"] == ["query", "limit"]
    client("GET", "/v2/spot/availability", project="any")


@pytest.mark.parametrize(
    ("said", "status", "detail"),
    [
        ({"name": "Upper"}, 400, "Invalid name"),
        ({"region": "nowhere"}, 404, "Region not found"),
        ({"instance_type": "it_none"}, 404, "Auction not found"),
        ({"project": "proj_none"}, 404, "Project not found"),
        ({"limit_price": "$0.00"}, 400, "below minimum"),
        ({"instance_quantity": 65}, 400, "quota"),
        ({"launch": {"ssh_keys": ["sshkey_none"]}}, 404, "SSH key not found"),
        ({"launch": {"volumes": ["vol_none"]}}, 404, "Volume not found"),
        ({"launch": {"startup_script": "echo"}}, 400, "#!/bin/bash"),
    ],
)
def test_a_bid_that_cannot_be_is_refused(client: Client, said: Any, status: int, detail: str) -> None:
    assert detail in client.bid(status=status, **said)["detail"]
    assert client("GET", "/v2/spot/bids")["data"] == []


def test_a_script_of_more_than_10000_characters_is_refused(client: Client) -> None:
    script = "#!/bin/bash\n".ljust(10_000, "#")
    client.bid(launch={"startup_script": script})
    refused = client.bid(launch={"startup_script": script + "#"}, status=422)
    assert refused["detail"][0]["loc"] == ["body", "launch_specification", "startup_script"]


def test_a_bid_is_open_then_allocated_and_its_instances_start_one_state_after_the_other() -> None:
    with Double(Settings(boot=False, ssh_destination="192.0.2.1", start_seconds=1000.0)) as double:
        client = Client(double)
        bid = client.bid(instance_quantity=2)
        assert bid["status"] == "Open"
        assert bid["instances"] == []
        seen = []
        for _ in range(5):
            (first, _) = client.instances(bid)
            seen.append((first["status"].removeprefix("STATUS_"), first["ssh_destination"]))
            double.control("clock", advance=255)
    started = [(state, None) for state in ("NEW", "CONFIRMED", "INITIALIZING", "STARTING")]
    assert seen == [*started, ("RUNNING", "192.0.2.1")]


def test_a_price_above_the_limit_preempts_after_five_minutes_and_the_bid_comes_back_by_itself(
    double: Double, client: Client
) -> None:
    bid = client.bid()
    until(lambda: client.instances(bid)[0]["status"] == "STATUS_RUNNING")
    machine = client.instances(bid)[0]["fid"]

    double.control("price", instance_type="a100-80gb.sxm.1x", price=6)
    assert client.state(bid) == "Preempting"
    warned = client("GET", f"/v2/instances/{machine}/status")
    assert warned["status"] == "STATUS_PREEMPTING"
    assert warned["end_time"] is not None
    double.control("clock", advance=299)
    assert client.state(bid) == "Preempting"
    double.control("clock", advance=2)
    assert client.state(bid) == "Open"
    assert client.instances(bid)[0]["status"] == "STATUS_PREEMPTED"

    double.control("price", instance_type="a100-80gb.sxm.1x", price=1)
    until(lambda: client.instances(bid)[0]["status"] == "STATUS_RUNNING")
    assert client.instances(bid)[0]["fid"] == machine
    events = client("GET", f"/v2/spot/bids/{bid['fid']}/history")["events"]
    assert [event["event_type"] for event in events] == ["Placed", "Allocated", "Preempted", "Allocated"]


def test_a_price_that_falls_again_calls_the_preemption_off(double: Double, client: Client) -> None:
    bid = client.bid()
    until(lambda: client.instances(bid)[0]["status"] == "STATUS_RUNNING")
    double.control("price", instance_type="a100-80gb.sxm.1x", price=6)
    double.control("price", instance_type="a100-80gb.sxm.1x", price=2)
    assert client.state(bid) == "Allocated"
    assert client.instances(bid)[0]["status"] == "STATUS_RUNNING"


def test_a_bid_has_all_its_instances_or_none_and_the_higher_price_comes_first(double: Double, client: Client) -> None:
    double.control("capacity", instance_type="a100-80gb.sxm.1x", capacity=0)
    large = client.bid("large", instance_quantity=4)
    small = client.bid("small", instance_quantity=2, limit_price="$4.00")
    double.control("capacity", instance_type="a100-80gb.sxm.1x", capacity=3)
    assert (client.state(large), client.state(small)) == ("Open", "Allocated")
    double.control("capacity", instance_type="a100-80gb.sxm.1x", capacity=4)
    assert (client.state(large), client.state(small)) == ("Open", "Preempting")
    double.control("clock", advance=301)
    assert (client.state(large), client.state(small)) == ("Allocated", "Open")


def test_what_loses_for_want_of_capacity_sets_the_price(double: Double, client: Client) -> None:
    double.control("capacity", instance_type="a100-80gb.sxm.1x", capacity=1)
    client.bid("first")
    client.bid("second", limit_price="$4.50")
    market = next(each for each in client("GET", "/v2/spot/availability") if each["instance_type"] == client.kind())
    assert (market["last_instance_price"], market["lowest_allocated_price"]) == ("$4.50", "$5.00")
    assert market["capacity"] == 0
    assert client("GET", "/v2/pricing/current", instance_type=client.kind())["spot_price_cents"] == 450


def test_a_bid_can_be_preempted_whatever_it_offers(double: Double, client: Client) -> None:
    bid = client.bid()
    client.state(bid)
    double.control("preempt", bid=bid["fid"], notice=10, again_after=100)
    assert client.state(bid) == "Preempting"
    double.control("clock", advance=11)
    assert client.state(bid) == "Open"
    double.control("clock", advance=100)
    assert client.state(bid) == "Allocated"


def test_an_instance_that_moves_to_another_host_is_told_and_runs_again(double: Double, client: Client) -> None:
    bid = client.bid()
    until(lambda: client.instances(bid)[0]["status"] == "STATUS_RUNNING")
    double.control("relocate", instance=client.instances(bid)[0]["fid"], notice=10)
    assert client("GET", f"/v2/spot/bids/{bid['fid']}/status")["status"] == "Relocating"
    double.control("clock", advance=11)
    until(lambda: client.instances(bid)[0]["status"] == "STATUS_RUNNING")


def test_a_paused_bid_keeps_its_instances_and_may_change_its_volumes(client: Client) -> None:
    bid, volume = client.bid(), client.volume()
    path = f"/v2/spot/bids/{bid['fid']}"
    client("GET", path)
    client("PATCH", path, {"volumes": [volume["fid"]]}, status=400)
    client("PATCH", path, {"paused": True})
    before = client.instances(bid)[0]
    assert before["status"] == "STATUS_PAUSED"
    client("PATCH", path, {"volumes": [volume["fid"]]})
    client("PATCH", path, {"paused": False})
    until(lambda: client.instances(bid)[0]["status"] == "STATUS_RUNNING")
    assert client.instances(bid)[0]["fid"] == before["fid"]
    assert client("GET", "/v2/volumes", project=client.project)[0]["bids"] == [bid["fid"]]


def test_a_cancelled_bid_can_be_read_and_not_cancelled_again(client: Client) -> None:
    bid = client.bid()
    client("DELETE", f"/v2/spot/bids/{bid['fid']}", status=204)
    assert client.state(bid) == "Terminated"
    client("DELETE", f"/v2/spot/bids/{bid['fid']}", status=400)
    client("DELETE", "/v2/spot/bids/bid_none", status=404)


def test_a_page_leads_to_the_next_one_until_the_end(client: Client) -> None:
    made = [client.bid(f"bid-{index}")["fid"] for index in range(5)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client("GET", "/v2/spot/bids", limit=2, sort_by="created_at", sort_dir="desc", **cursor)
        found += [row["fid"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"next_cursor": page["next_cursor"]}
    assert found == made[::-1]
    assert [row["fid"] for row in client("GET", "/v2/spot/bids", name="bid-3")["data"]] == [made[3]]


def test_a_volume_in_use_is_kept_and_a_deleted_one_is_listed_on_request(client: Client) -> None:
    volume = client.volume()
    client.volume(status=409)
    bid = client.bid(launch={"volumes": [volume["fid"]]})
    assert "one instance only" in client.bid("two", launch={"volumes": [volume["fid"]]}, status=400)["detail"]
    client("DELETE", f"/v2/volumes/{volume['fid']}", status=409)
    client("DELETE", f"/v2/spot/bids/{bid['fid']}", status=204)
    client("DELETE", f"/v2/volumes/{volume['fid']}", status=204)
    assert client("GET", "/v2/volumes", project=client.project) == []
    ended = client("GET", "/v2/volumes", project=client.project, include_deleted="true")
    assert ended[0]["deleted_at"] is not None


def test_a_file_share_serves_many_and_only_where_there_are_file_shares(client: Client) -> None:
    share = client.volume("share", "File")
    for name in ("one", "two"):
        client.bid(name, launch={"volumes": [share["fid"]]})
    assert "not available" in client.volume("other", "File", region="eu-central1-a", status=400)["detail"]


def test_a_key_that_is_minted_works_until_it_is_revoked_or_has_expired(double: Double, client: Client) -> None:
    soon = double.world.clock.stamp(after=60)
    minted = [client("POST", "/v2/api-keys", {"name": "task", "expires_at": soon}, status=201) for _ in range(2)]
    first = Client(double)
    first.key = minted[0]["secret"]
    first("DELETE", f"/v2/api-keys/{minted[0]['fid']}", status=204)
    first("GET", "/v2/me", status=401)
    second = Client(double)
    second.key = minted[1]["secret"]
    second("GET", "/v2/me")
    double.control("clock", advance=61)
    second("GET", "/v2/me", status=401)
    assert "secret" not in client("GET", "/v2/api-keys")[1]


def test_a_key_that_cannot_be_minted_is_refused(double: Double, client: Client) -> None:
    soon, far = double.world.clock.stamp(after=60), double.world.clock.stamp(after=400 * 86400)
    refused = client("POST", "/v2/api-keys", {"name": "x" * 60, "expires_at": soon}, status=400)
    assert refused["detail"] == "API key name must be less than 60 characters"
    assert "1 year" in client("POST", "/v2/api-keys", {"name": "x", "expires_at": far}, status=400)["detail"]
    client("POST", "/v2/api-keys", {"name": "x", "expires_at": "2030-01-01T00:00:00"}, status=422)


def test_an_ssh_key_is_made_kept_while_it_is_used_and_required_where_it_is(client: Client) -> None:
    made = client("POST", "/v2/ssh-keys", {"project": client.project, "name": "made"}, status=201)
    assert made["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    bid = client.bid(launch={"ssh_keys": [made["fid"]]})
    client("DELETE", f"/v2/ssh-keys/{made['fid']}", status=409)
    client("DELETE", f"/v2/spot/bids/{bid['fid']}", status=204)
    client("PATCH", f"/v2/ssh-keys/{made['fid']}", {"required": True})
    assert "is required" in client.bid(status=400)["detail"]
    client("DELETE", f"/v2/ssh-keys/{made['fid']}", status=204)
    assert client("GET", "/v2/ssh-keys", project=client.project) == []


def test_a_cpu_machine_starts_at_once_and_takes_nothing_it_does_not_know(double: Double, client: Client) -> None:
    kind = client("GET", "/v2/cpu/instance-types")[0]
    said = {"name": "cpu", "project": client.project, "instance_type": kind["fid"], "region": "us-central2-a"}
    refused = client("POST", "/v2/cpu/instances", {**said, "startup_script": "x"}, status=422)
    assert refused["detail"][0]["type"] == "extra_forbidden"
    made = client("POST", "/v2/cpu/instances", said, status=201)
    assert (made["bid"], made["reservation"][:4]) == (None, "res_")
    assert client("GET", "/v2/reservation", project=client.project)["data"] == []
    double.control("capacity", instance_type=kind["name"], capacity=1)
    refused = client("POST", "/v2/cpu/instances", {**said, "name": "two"}, status=503)
    assert refused["detail"] == "Region is temporarily at CPU capacity"
    client("DELETE", f"/v2/cpu/instances/{made['fid']}", status=204)
    client("DELETE", f"/v2/cpu/instances/{made['fid']}", status=404)


def test_a_reservation_begins_and_ends_at_its_times(double: Double, client: Client) -> None:
    at = double.world.clock.stamp
    said = {
        "project": client.project,
        "instance_type": client.kind(),
        "region": "us-central2-a",
        "start_time": at(after=3600),
        "end_time": at(after=6 * 3600),
        "instance_quantity": 2,
        "name": "reserved",
        "launch_specification": {"volumes": [], "ssh_keys": []},
    }
    short = {**said, "end_time": at(after=2 * 3600)}
    client("POST", "/v2/reservation", short, status=400)
    made = client("POST", "/v2/reservation", said, status=201)
    assert (made["status"], made["unit_price"], made["total_price"]) == ("Pending", "$2.00", "$20.00")
    path = f"/v2/reservation/{made['fid']}"

    def state() -> str:
        (row,) = client("GET", "/v2/reservation", project=client.project)["data"]
        return str(row["status"])

    double.control("clock", advance=3601)
    until(lambda: state() == "Active")
    fids = client("GET", "/v2/reservation", project=client.project)["data"][0]["instances"]
    until(lambda: client("GET", f"/v2/instances/{fids[0]}/status")["status"] == "STATUS_RUNNING")
    client("POST", f"/v2/instances/{fids[0]}/restart", status=202)
    client("PATCH", "/v2/instances", {"instances": [fids[0]], "status": "STATUS_PAUSED"})
    client("POST", f"/v2/instances/{fids[0]}/refresh-boot-disk", {})
    client("PATCH", "/v2/instances", {"instances": [fids[0]], "status": "STATUS_RUNNING"})
    client("PATCH", path, {"paused": True})
    client("PATCH", path, {"paused": False})
    client("POST", f"{path}/extend", {"end_time": at(after=8 * 3600)})
    client("POST", f"{path}/terminate-instances", {"instances": [fids[1]], "reduce_capacity": True})
    client("GET", f"{path}/extension-availability")
    client("GET", f"{path}/usage")
    double.control("clock", advance=9 * 3600)
    until(lambda: state() == "Ended")
    events = client("GET", f"{path}/history")["events"]
    words = ["Placed", "Active", "Paused", "Resumed", "Terms Changed", "Ended"]
    assert [event["event_type"] for event in events] == words


def test_what_only_reserved_machines_can_is_not_done_to_spot_ones(client: Client) -> None:
    bid = client.bid()
    fid = client.instances(bid)[0]["fid"]
    client("POST", f"/v2/instances/{fid}/restart", status=501)
    client("POST", f"/v2/instances/{fid}/refresh-boot-disk", {}, status=501)
    client("PATCH", "/v2/instances", {"instances": [fid], "status": "STATUS_PAUSED"}, status=501)


def test_every_list_and_history_has_the_form_that_is_described(double: Double, client: Client) -> None:
    bid, project, kind = client.bid(), client.project, client.kind()
    until(lambda: client.instances(bid)[0]["status"] == "STATUS_RUNNING")
    double.control("price", instance_type=kind, price="1.50")
    at = double.world.clock.stamp
    where = {"project": project, "instance_type": kind, "region": "us-central2-a"}
    client("GET", "/v2/me/teammates")
    client("GET", f"/v2/organizations/{client('GET', '/v2/me')['organization_id']}/quotas")
    client("GET", "/marketplace/v1/regions")
    client("GET", "/v2/cpu/regions")
    client("GET", "/v2/image-versions")
    client("GET", "/v2/reservation/instance-types")
    client("GET", "/v2/internal/status", instance_fid=client.instances(bid)[0]["fid"])
    client("GET", "/v2/reservation/quote", start_time=at(), end_time=at(after=4 * 3600), quantity=1, **where)
    window = {"start_time": at(), "end_time": at(after=4 * 3600), "quantity": 1}
    assert client("GET", "/v2/reservation/availability", mode="check", **window, **where) == {"available": True}
    client("GET", "/v2/reservation/availability", start_time=at(), quantity=1, **where)
    client("GET", "/v2/reservation/availability", status=422, **where)
    slots = {"earliest_start_time": at(), "latest_end_time": at(after=4 * 3600)}
    assert client("GET", "/v2/reservation/availability", mode="slots", **slots, **where)[0]["quantity"] == 8
    (series,) = client("GET", "/v2/pricing/history", instance_types=kind)["series"]
    assert series["spot_prices"] == ["$1.00", "$1.50"]
    (states,) = client("GET", "/v2/instances/status/history", project=project, bid_fid=bid["fid"])["instances"]
    assert states["events"][-1]["status"] == "STATUS_RUNNING"
    (prices,) = client("GET", "/v2/instances/pricing/history", project=project, bid_fid=bid["fid"])["instances"]
    assert prices["events"][0]["price_cents"] == 150
    spot = next(each for each in client("GET", "/v2/quotas", project=project) if each["instance_type"] == kind)
    assert spot["used_quantity"] == 1


def test_a_stored_script_can_be_written_read_and_deleted(client: Client) -> None:
    said = {"project": client.project, "name": "setup", "content": "#!/bin/bash\n"}
    made = client("POST", "/v2/lifecycle-scripts", said, status=201)
    path = f"/v2/lifecycle-scripts/{made['fid']}"
    assert client("GET", f"{path}/content") == "#!/bin/bash\n"
    assert client("PATCH", path, {"name": "other"})["name"] == "other"
    assert len(client("GET", "/v2/lifecycle-scripts", project=client.project)["data"]) == 1
    client("DELETE", path, status=204)


def test_a_fault_refuses_as_many_requests_as_it_is_told(double: Double, client: Client) -> None:
    double.control("fault", path="/v2/me", method="GET", status=429, detail="slow down", retry_after="1", times=2)
    assert [requests.get(f"{double.url}/v2/me", timeout=5).status_code for _ in range(3)] == [429, 429, 401]
    assert double.requests[0]["status"] == 429
    client("GET", "/v2/projects")


def test_a_fault_can_place_a_bid_and_answer_500(double: Double, client: Client) -> None:
    body = {"path": "/v2/spot/bids", "method": "POST", "kind": "apply"}
    requests.post(f"{double.url}/_control/fault", json=body, timeout=5)
    client.bid(status=500)
    assert len(client("GET", "/v2/spot/bids")["data"]) == 1


@pytest.mark.parametrize(("kind", "placed"), [("cut", 0), ("apply-cut", 1)])
def test_a_fault_can_cut_the_connection(double: Double, client: Client, kind: str, placed: int) -> None:
    double.control("fault", path="/v2/spot/bids", method="POST", kind=kind)
    with pytest.raises(requests.ConnectionError):
        client.bid()
    assert len(client("GET", "/v2/spot/bids")["data"]) == placed


def test_a_fault_can_hang(double: Double) -> None:
    double.control("fault", kind="hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{double.url}/v2/me", timeout=0.2)


def test_a_control_that_is_not_understood_says_why(double: Double) -> None:
    def refused(name: str, **said: Any) -> Any:
        return requests.post(f"{double.url}/_control/{name}", json=said, timeout=5)

    assert "there are POST price" in refused("prise").json()["detail"]
    assert "KeyError" in refused("price").json()["detail"]
    assert refused("fault", kind="other").status_code == 400
    assert refused("preempt", bid="bid_none").status_code == 404


def test_a_clock_can_be_sped_up(double: Double) -> None:
    before = double.world.clock.time()
    double.control("clock", speed=100_000)
    time.sleep(0.05)
    assert double.world.clock.time() - before > 4000


def test_requests_are_recorded_whole(double: Double, client: Client) -> None:
    client.bid(name="seen")
    (seen,) = requests.get(f"{double.url}/_control/requests?method=POST", timeout=5).json()
    assert seen["path"] == "/v2/spot/bids"
    assert json.loads(seen["body"])["name"] == "seen"
    assert seen["headers"]["authorization"] == f"Bearer {client.key}"
    assert seen["status"] == 201


@pytest.mark.parametrize(("honoured", "bids"), [(False, 2), (True, 1)])
def test_a_repeated_idempotency_key_is_honoured_only_when_it_is_told(honoured: bool, bids: int) -> None:
    with Double(Settings(boot=False, idempotency=honoured)) as double:
        client = Client(double)
        client.bid()
        body = json.loads(double.requests[-1]["body"])
        headers = {"Authorization": f"Bearer {client.key}", "Idempotency-Key": "once"}
        for _ in range(2):
            requests.post(f"{double.url}/v2/spot/bids", json={**body, "name": "two"}, headers=headers, timeout=5)
        assert len(client("GET", "/v2/spot/bids", name="two")["data"]) == bids


def test_an_answer_that_the_service_would_not_give_is_a_mistake() -> None:
    with Double(Settings(boot=False)) as double:
        double.world.me["email"] = 7
        Client(double)("GET", "/v2/me", status=500)
        assert "GET /v2/me" in double.mistakes[0]


def test_many_at_once_place_each_bid_once(client: Client) -> None:
    names = [f"bid-{index}" for index in range(16)]
    threads = [threading.Thread(target=client.bid, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["name"] for row in client("GET", "/v2/spot/bids", limit=100)["data"]) == sorted(names)


def test_who_comes_while_it_is_busy_is_served_later() -> None:
    double = Double(Settings(boot=False))
    place = ("127.0.0.1", int(double.url.rpartition(":")[2]))
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(place, 10)) for _ in range(64)]
        for line in lines:
            line.sendall(b"GET /_control/requests HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        with double:
            assert {line.recv(12) for line in lines} == {b"HTTP/1.1 200"}


@pytest.fixture
def served() -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "flow_mithril.testing", "--no-boot", "--api-key", "fkey_mine", "--project", "mine"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_it_serves_from_the_command_line_and_ends_when_told(served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    url = served.stdout.readline().strip()
    headers = {"Authorization": "Bearer fkey_mine"}
    assert requests.get(f"{url}/v2/projects", headers=headers, timeout=5).json()[0]["name"] == "mine"
    served.terminate()
    assert served.wait(10) == 0


def test_a_port_that_is_taken_is_said_in_one_line(double: Double) -> None:
    port = double.url.rpartition(":")[2]
    words = [sys.executable, "-m", "flow_mithril.testing", "--no-boot", "--port", port]
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr == "flow_mithril.testing: [Errno 98] Address already in use\n"


def test_the_example_of_its_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[3] / "docs" / "mithril-double.md"
    code = page.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    exec(compile(code, str(page), "exec"), {})
    assert capsys.readouterr().out.endswith(" fkey_test [] []\n")


def test_every_setting_has_a_flag() -> None:
    words = [sys.executable, "-m", "flow_mithril.testing", "--help"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert all(f"--{field.name.replace('_', '-')}" in shown for field in attrs.fields(Settings))
