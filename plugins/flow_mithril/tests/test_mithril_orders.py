"""Orders at the API: one bid for one request whatever breaks, few calls, all problems at once. Nothing boots here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from flow_core import Flow
from flow_core.client import Task
from flow_core.errors import AuthError, ConfigError, ConflictError, FlowError, QuotaError, TransientError
from flow_core.secrets import Secret
from flow_core.types import OfferRequest, parse_ref
from flow_mithril._api import Api
from flow_mithril._commands import mithril
from flow_mithril._orders import Orders
from flow_mithril.testing import Double

Make = Callable[..., Flow]


@pytest.fixture
def make(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes clients of a double below which nothing boots: ``make(setting=value)``."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("FLOW_HOME", str(home))
    monkeypatch.setenv("MITHRIL_API_URL", double.url)
    monkeypatch.setenv("MITHRIL_API_KEY", double.settings.api_key)

    def made(**settings: object) -> Flow:
        profile = {"provider": "mithril", "settle": "2s", "defaults": {"instance_type": "8xh100"}}
        profile = {**profile, "self_release": "client", **settings}
        (home / "config.yaml").write_text(yaml.safe_dump({"default": "m", "profiles": {"m": profile}}))
        return Flow(cwd=tmp_path / "work")

    return made


def bids(double: Double, *states: str) -> list[dict[str, Any]]:
    with double.world.lock:
        return [dict(row) for row in double.world.all("bids") if not states or row["status"] in states]


def fid(task: Task) -> str:
    assert task.row.ref is not None
    return parse_ref(task.row.ref)[2].id


@pytest.mark.parametrize("kind", ["apply", "apply-cut"])
def test_a_bid_that_was_placed_though_the_answer_was_lost_is_found(double: Double, make: Make, kind: str) -> None:
    flow = make()
    double.control("fault", kind=kind, method="POST", path="/v2/spot/bids", status=503)

    task = flow.submit("true")
    assert [bid["fid"] for bid in bids(double)] == [fid(task)]


def test_how_machines_end_is_asked_until_the_profile_says_it(make: Make) -> None:
    flow = make(self_release="ask")
    (question,) = flow.plan(flow.config("true")).questions
    assert (question.key, list(question.answers)) == ("profiles.m.self_release", ["key", "client", "off"])
    question.settle("key")

    decided = Flow(cwd=flow.session.cwd)
    assert decided.plan(decided.config("true")).questions == ()
    assert "self_release: key" in (flow.session.settings.paths.config_file).read_text()


def test_a_bid_that_was_not_placed_is_not_placed_again_by_itself(double: Double, make: Make) -> None:
    flow = make()
    double.control("fault", kind="cut", method="POST", path="/v2/spot/bids")

    with pytest.raises(TransientError):
        flow.submit("true")
    assert bids(double) == []
    posts = [row for row in double.requests if (row["method"], row["path"]) == ("POST", "/v2/spot/bids")]
    assert len(posts) <= 1
    assert not list(Path(flow.session.settings.paths.state_dir / "mithril" / "outbox").glob("flow-*/secrets"))


def test_a_refused_bid_leaves_nothing_here(double: Double, make: Make) -> None:
    flow = make()
    double.control("fault", kind="answer", method="POST", path="/v2/spot/bids", status=400, detail="Quota exceeded")

    with pytest.raises(FlowError, match="Quota exceeded"):
        flow.submit("true")
    assert not list(Path(flow.session.settings.paths.state_dir / "mithril" / "outbox").glob("flow-*"))


def test_too_many_requests_are_sent_again_when_the_platform_says(double: Double, make: Make) -> None:
    flow = make()
    double.control("fault", kind="answer", method="POST", path="/v2/spot/bids", status=429, retry_after="0.2")

    flow.submit("true")
    assert len(bids(double)) == 1


def test_a_submit_is_six_calls_and_a_status_of_a_hundred_a_handful(double: Double, make: Make) -> None:
    with double.world.lock:
        for market in double.world.all("auctions"):
            market["_capacity"] = 0
    make().submit("true")  # registers the key
    before = len(double.requests)
    make().submit("true")
    assert len(double.requests) - before <= 6

    flow = make()
    for kind in ["8xh100"] * 60 + ["8xa100"] * 38:
        flow.submit("true", instance_type=kind)
    before = len(double.requests)
    assert not make().refresh()
    assert len(double.requests) - before <= 4
    assert {task.row.state for task in flow.tasks(limit=None)} == {"pending"}


def test_all_problems_come_at_once(make: Make) -> None:
    with pytest.raises(ConfigError) as refused:
        make().submit(
            "true",
            num_instances=65,
            max_price_per_hour=Decimal("0.5"),
            mounts=[{"source": "/here", "target": "/there"}],
            volumes=[{"name": "nope"}],
        )
    assert {problem.code for problem in refused.value.problems} >= {"QUOTA", "PRICE", "NOT_THERE", "NO_VOLUME"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"instance_type": "3xh100"}, "NO_SUCH_MACHINE"),
        ({"instance_type": "8xh100", "region": "mars-1"}, "NO_SUCH_REGION"),
        ({"instance_type": "8xh100", "spot": False}, "SPOT_ONLY"),
        ({"instance_type": "4xcpu", "spot": True}, "NO_SPOT"),
        ({"instance_type": "4xcpu", "num_instances": 2}, "ONE_MACHINE"),
        ({"volumes": [{"name": "Bad_Name", "create": True, "size_gb": 1}]}, "BAD_NAME"),
        ({"volumes": [{"name": "huge", "create": True, "size_gb": 99999}]}, "BAD_SIZE"),
    ],
)
def test_what_cannot_be_had_is_named(make: Make, fields: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make().submit("true", **fields)
    assert code in {problem.code for problem in refused.value.problems}


@pytest.mark.parametrize("word", ["8xh100", "h100", "h100:8", "h100-80gb.sxm.8x"])
def test_a_type_is_named_in_the_users_words_or_the_platforms(make: Make, word: str) -> None:
    (offer,) = make().offers(request=OfferRequest(instance_type=word))
    assert (offer.gpu, offer.gpu_count, offer.spot) == ("h100", 8, True)
    assert offer.price_per_hour is not None
    assert f"{offer.price_per_hour / 8:.2f} USD per GPU" in offer.note


def test_new_volumes_must_fit_the_quota_and_a_priority_is_said_to_be_ignored(make: Make) -> None:
    flow = make()
    with pytest.raises(ConfigError) as refused:
        flow.submit(
            "true",
            volumes=[
                {"name": "large", "create": True, "size_gb": 30_000},
                {"name": "too", "create": True, "size_gb": 30_000},
            ],
        )
    assert [problem.code for problem in refused.value.problems] == ["QUOTA"]
    plan = flow.plan(flow.config("true", priority=5))
    assert [(problem.path, problem.code) for problem in plan.warnings] == [("priority", "IGNORED")]


def test_hours_of_reserved_machines_must_fit_their_quota(make: Make) -> None:
    end = (datetime.now(timezone.utc) + timedelta(hours=300)).isoformat()
    wants = {"num_instances": 40, "options": {"mithril": {"reservation_end": end}}}
    with pytest.raises(ConfigError) as refused:
        make().submit("true", **wants)
    (problem,) = refused.value.problems
    assert (problem.code, "10000 x hours of" in problem.message, "12000 are wanted" in problem.message) == (
        "QUOTA",
        True,
        True,
    )


def test_a_volume_that_the_quota_has_no_room_for_is_not_asked_for(double: Double, make: Make) -> None:
    flow = make(region="us-central2-a")
    flow.create_volume("large", 30_000)
    with pytest.raises(QuotaError, match="leaves 20000 of 50000 GB"):
        flow.create_volume("too", 30_000)
    assert [row["path"] for row in double.requests if row["method"] == "POST"].count("/v2/volumes") == 1


def test_a_volume_is_attached_while_the_machines_are_paused(double: Double, make: Make) -> None:
    flow = make(region="us-central2-a")
    task = flow.submit("true")
    volume = flow.create_volume("late", 10, kind="file")
    with pytest.raises(ConflictError, match="paused"):
        flow.attach_volume("late", task.id)
    Orders(Api(double.url, Secret(double.settings.api_key))).pause(fid(task), True)  # type: ignore[arg-type]

    assert flow.attach_volume("late", task.id).attached_to == (fid(task),)
    assert bids(double)[0]["launch_specification"]["volumes"] == [volume.id]


def test_the_limit_of_a_bid_is_per_machine(double: Double, make: Make) -> None:
    make().submit("true", num_instances=2, max_price_per_hour=Decimal("31.5"))
    (placed,) = bids(double)
    assert (placed["limit_price"], placed["instance_quantity"]) == ("$31.50", 2)


def test_the_script_says_no_secret_and_stays_small(double: Double, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "very-secret-value")
    make().submit("true", secrets=["TOKEN"], env={"A": "b"})
    (placed,) = bids(double)
    script = placed["launch_specification"]["startup_script"]
    assert script.startswith("#!/bin/bash")
    assert len(script) < 10_000
    assert not [word for word in ("very-secret-value", "PRIVATE KEY", "fkey_") if word in script]


def test_a_key_is_only_sent_over_https(make: Make) -> None:
    with pytest.raises(ConfigError, match="https"):
        make(api_url="http://api.example.org").whoami()


def test_a_refused_key_is_an_auth_error_that_does_not_show_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = make()
    monkeypatch.setenv("MITHRIL_API_KEY", "fkey_expired_value")
    with pytest.raises(AuthError) as refused:
        flow.whoami()
    assert "fkey_expired_value" not in repr(refused.value) + str(refused.value.__context__)


def test_a_page_that_comes_twice_ends_the_list_with_an_error(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(double.url, Secret(double.settings.api_key))  # type: ignore[arg-type]
    monkeypatch.setattr(api, "get", lambda path, **query: {"data": [{}], "next_cursor": "again"})
    with pytest.raises(TransientError, match="repeats"):
        list(api.pages("spot/bids"))


def test_an_api_that_is_down_keeps_every_state(double: Double, make: Make) -> None:
    flow = make()
    task = flow.submit("true")
    state = task.row.state
    double.control("fault", kind="answer", status=503, times=1000)
    assert set(flow.refresh()) == {"m"}
    assert flow.task(task.id).row.state == state


@pytest.mark.parametrize("seconds", [-7200.0, 7200.0])
def test_a_clock_that_is_wrong_by_hours_hides_no_order(double: Double, make: Make, seconds: float) -> None:
    double.control("clock", advance=seconds)
    flow = make()
    end = (datetime.now(timezone.utc) + timedelta(hours=9)).isoformat()
    kinds: list[dict[str, Any]] = [{}] * 4  # more than are asked for one by one
    kinds += [{"instance_type": "4xcpu"}, {"options": {"mithril": {"reservation_end": end}}}]
    tasks = [flow.submit("true", **kind) for kind in kinds]
    refs = [parse_ref(task.row.ref)[2] for task in tasks if task.row.ref]
    requests = [flow.session.journal.submissions(task.id)[0].request_id for task in tasks]

    provider = Flow(cwd=flow.session.cwd).provider()
    assert provider.find(requests, time.time()) == {name: [ref] for name, ref in zip(requests, refs, strict=True)}
    read = Orders(Api(double.url, Secret(double.settings.api_key))).read  # type: ignore[arg-type]
    assert set(read(bids(double)[0]["project"], [ref.id for ref in refs], time.time())) == {ref.id for ref in refs}


def test_a_bid_that_was_placed_before_the_api_went_down_is_found_when_it_is_there_again(
    double: Double, make: Make
) -> None:
    flow = make()
    double.control("capacity", instance_type="h100-80gb.sxm.8x", capacity=0)
    double.control("fault", kind="apply", method="POST", path="/v2/spot/bids", status=503)
    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(flow.submit, "true")
        while not bids(double):
            assert not submitted.done()
        double.control("fault", kind="answer", status=503, times=10**6)
        with pytest.raises(TransientError):
            submitted.result()
    with double.world.lock:
        double.world.faults.clear()

    later = make()
    later.refresh()
    assert [fid(task) for task in later.tasks(limit=None)] == [bid["fid"] for bid in bids(double, "Open", "Allocated")]


def test_a_sweep_finds_its_profile_where_another_provider_is_the_default(make: Make, tmp_path: Path) -> None:
    make()
    config = yaml.safe_load((tmp_path / "home" / "config.yaml").read_text())
    config["profiles"]["here"] = {"provider": "local"}
    (tmp_path / "home" / "config.yaml").write_text(yaml.safe_dump({**config, "default": "here"}))
    done = CliRunner().invoke(mithril, ["sweep"])
    assert (done.exit_code, done.stderr) == (0, "flow: nothing is left over\n"), done.output
