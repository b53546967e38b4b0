"""The vendor's own generated client, which is strict, understands the double: nobody here wrote it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from typing import Any

import pytest

from flow_mithril.testing import Double, Settings

bindings = pytest.importorskip("mithril.api.bindings", reason="mithril-client is not installed")
import_module("mithril.api.bindings.errors")
models = import_module("mithril.api.bindings.models")
API = "mithril.api.bindings.api"


@pytest.fixture
def double() -> Iterator[Double]:
    with Double(Settings(boot=False, ssh_destination="192.0.2.1:22", start_seconds=0.0)) as double:
        yield double
    assert double.mistakes == []


Call = Callable[..., Any]


@pytest.fixture
def call(double: Double) -> Iterator[Call]:
    """Call an operation by its module; a refusal, or an answer that the client does not understand, raises."""
    key = double.settings.api_key
    client = bindings.AuthenticatedClient(base_url=double.url, token=key, raise_on_unexpected_status=True)

    def run(where: str, **said: Any) -> Any:
        answer = import_module(f"{API}.{where}").sync_detailed(client=client, **said)
        assert answer.status_code < 300, answer.content
        return answer.parsed

    with client:
        yield run


def later(hours: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(hours=hours)).isoformat()


def launch() -> Any:
    return models.LaunchSpecificationModel(volumes=[], ssh_keys=[])


def bid(call: Call, quantity: int = 2) -> Any:
    project = call("projects.get_projects_v2_projects_get")[0].fid
    kind = call("instance_types.get_instance_types_v2_instance_types_get")[0].fid
    body = models.CreateBidRequest(
        project=project,
        region="us-central2-a",
        instance_type=kind,
        limit_price="$5.00",
        instance_quantity=quantity,
        name="task",
        launch_specification=launch(),
    )
    return call("spot.create_bid_v2_spot_bids_post", body=body)


def test_the_client_reads_a_bid_through_its_whole_life(double: Double, call: Call) -> None:
    made = bid(call)
    listed = call("spot.get_bids_v2_spot_bids_get", project=made.project, limit=1)
    assert [row.fid for row in listed.data] == [made.fid]

    def instances() -> Any:
        return call("instances.get_instances_v2_instances_get", project=made.project).data

    deadline = time.monotonic() + 10
    while {row.status for row in instances()} != {"STATUS_RUNNING"}:
        assert time.monotonic() < deadline
    assert instances()[0].ssh_destination == "192.0.2.1:22"
    double.control("preempt", bid=made.fid, notice=5)
    assert call("spot.get_bid_status_v2_spot_bids_bid_fid_status_get", bid_fid=made.fid).status == "Preempting"
    one = instances()[0].fid
    assert call("instances.get_instance_status_v2_instances_instance_fid_status_get", instance_fid=one).end_time
    double.control("clock", advance=6)
    call("spot.update_bid_v2_spot_bids_bid_fid_patch", bid_fid=made.fid, body=models.UpdateBidRequest(paused=True))
    events = call("spot.get_bid_history_v2_spot_bids_bid_fid_history_get", bid_fid=made.fid).events
    assert [event.event_type for event in events][:3] == ["Placed", "Allocated", "Preempted"]
    call("spot.cancel_bid_v2_spot_bids_bid_fid_delete", bid_fid=made.fid)
    assert call("spot.get_bid_v2_spot_bids_bid_fid_get", bid_fid=made.fid).status == "Terminated"


def test_the_client_reads_prices_and_lists(double: Double, call: Call) -> None:
    project = call("projects.get_projects_v2_projects_get")[0].fid
    assert call("profile.get_me_v2_me_get").email == double.world.me["email"]
    kind = call("instance_types.get_instance_types_v2_instance_types_get")[0].fid
    assert call("spot.get_auctions_v2_spot_availability_get")[0].last_instance_price == "$1.00"
    assert call("pricing.get_current_prices_v2_v2_pricing_current_get", instance_type=kind).spot_price_cents == 100
    call("pricing.get_historical_prices_v2_v2_pricing_history_get")
    call("image_versions.get_image_versions_v2_image_versions_get")
    call("profile.get_my_teammates_v2_me_teammates_get")
    assert call("quotas.get_quotas_v2_quotas_get", project=project)[0].product_type == "Spot"


def test_the_client_makes_and_removes_volumes_and_keys(double: Double, call: Call) -> None:
    project = call("projects.get_projects_v2_projects_get")[0].fid
    interface = models.CreateVolumeRequestDiskInterface.BLOCK
    said = {"name": "data", "project": project, "region": "us-central2-a", "size_gb": 10}
    volume = call(
        "volumes.create_volume_v2_volumes_post", body=models.CreateVolumeRequest(**said, disk_interface=interface)
    )
    assert [row.fid for row in call("volumes.get_volumes_v2_volumes_get", project=project)] == [volume.fid]
    call("volumes.delete_volume_v2_volumes_volume_fid_delete", volume_fid=volume.fid)
    key = call("ssh_keys.create_ssh_key_v2_ssh_keys_post", body=models.CreateSshKeyRequest(project=project, name="k"))
    assert "PRIVATE KEY" in key.private_key
    call("ssh_keys.get_ssh_keys_v2_ssh_keys_get", project=project)
    call("ssh_keys.delete_ssh_key_v2_ssh_keys_ssh_key_fid_delete", ssh_key_fid=key.fid)
    until = later(hours=1)
    minted = call(
        "api_keys.create_api_key_v2_api_keys_post", body=models.CreateApiKeyRequest(name="m", expires_at=until)
    )
    assert minted.secret.startswith("fkey_")
    assert len(call("api_keys.get_api_keys_v2_api_keys_get")) == 2
    call("api_keys.revoke_api_key_v2_api_keys_key_fid_delete", key_fid=minted.fid)


def test_the_client_reserves(double: Double, call: Call) -> None:
    project = call("projects.get_projects_v2_projects_get")[0].fid
    body = models.CreateReservationRequest(
        project=project,
        instance_type=call("instance_types.get_instance_types_v2_instance_types_get")[0].fid,
        region="us-central2-a",
        start_time=later(hours=1),
        end_time=later(hours=5),
        instance_quantity=1,
        name="reserved",
        launch_specification=launch(),
    )
    made = call("reservations.create_reservation_v2_reservation_post", body=body)
    listed = call("reservations.get_reservations_v2_reservation_get", project=project).data
    assert [(row.fid, row.status) for row in listed] == [(made.fid, "Pending")]


def test_the_client_reads_what_is_refused(double: Double, call: Call) -> None:
    with pytest.raises(bindings.errors.UnexpectedStatus, match="quota"):
        bid(call, quantity=100)
