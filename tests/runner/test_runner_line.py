"""The policy of the queue: who is next, who may pass, and what those who wait are told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from flow_core.runner.claims import Claim
from flow_core.runner.line import Line, ordinal
from flow_core.runner.slots import Slots

GIB = 1 << 30


def machine(folder: Path, **has: Any) -> Slots:
    (folder / "machine.json").write_text(json.dumps(has))
    return Slots(str(folder))


def gpus(*names: str) -> list[dict[str, object]]:
    return [{"id": str(number), "name": name, "memory": 80 * GIB} for number, name in enumerate(names)]


def want(cpus: float = 0, memory: int = 0, gpus: int = 0, kind: str = "", slots: int = 0) -> Claim:
    return Claim(1, slots, cpus, memory, gpus, kind)


def line_of(*claims: Claim) -> Line:
    line = Line()
    for number, claim in enumerate(claims):
        line.add(0, float(number), f"f{number}", f"t{number}", claim)
    return line


def run(slots: Slots, name: str, claim: Claim, *taken: str) -> None:
    slots.take(name, name, claim, list(taken))


def reasons(line: Line, slots: Slots) -> list[str]:
    return [why for _, _, why in line.reasons(slots)]


def next_of(line: Line, slots: Slots) -> str | None:
    chosen = line.next(slots)
    return None if chosen is None else chosen.task_id


def test_a_small_task_passes_where_it_takes_nothing_of_what_the_first_waits_for(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=8, gpus=gpus("a100", "a100"))
    run(slots, "old", want(gpus=1), "0")
    assert next_of(line_of(want(gpus=2), want(cpus=8)), slots) == "t1"


def test_a_small_task_does_not_take_the_last_of_what_the_first_waits_for(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=8, gpus=gpus("a100", "a100"))
    run(slots, "old", want(gpus=1), "0")
    assert next_of(line_of(want(gpus=2), want(gpus=1)), slots) is None


def test_a_small_task_leaves_the_first_what_else_it_needs(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=8, gpus=gpus("a100"))
    run(slots, "old", want(gpus=1), "0")
    first = want(cpus=4, gpus=1)
    assert next_of(line_of(first, want(cpus=4)), slots) == "t1"
    assert next_of(line_of(first, want(cpus=4.5)), slots) is None


def test_those_before_it_count_only_as_often_as_they_could_run_together(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=8, gpus=gpus("a100"))
    run(slots, "old", want(cpus=1, gpus=1), "0")
    waiting = [want(cpus=1, gpus=1)] * 50
    assert next_of(line_of(*waiting, want(cpus=6)), slots) == "t50"


def test_nobody_passes_one_that_needs_the_machine_alone(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=8, max_tasks=2)
    run(slots, "old", want(slots=1))
    assert next_of(line_of(want(slots=4), want(slots=1)), slots) is None


def test_max_tasks_is_for_tasks_that_claim_something_too(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=8, max_tasks=1)
    run(slots, "old", want(cpus=1))
    line = line_of(want(cpus=1))
    assert next_of(line, slots) is None
    assert reasons(line, slots) == ["waits for a free place (max_tasks 1, used by old)"]


def test_a_kind_of_gpu_is_given_and_the_wanted_kind_is_spared(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=8, gpus=gpus("a100", "a100", "t4"))
    run(slots, "old", want(gpus=1, kind="a100"), "0")
    line = line_of(want(gpus=2, kind="a100"), want(gpus=1))
    chosen = line.next(slots)
    assert chosen is not None
    assert (chosen.task_id, line.gpus_for(chosen, slots)) == ("t1", ["2"])


def test_memory_of_a_gpu_is_asked_for(tmp_path: Path) -> None:
    two = [{"id": "0", "name": "t4", "memory": 16 * GIB}, {"id": "1", "name": "a100", "memory": 80 * GIB}]
    slots = machine(tmp_path, gpus=two)
    assert slots.choose(Claim(1, 0, 0, 0, 1, "", 40 * GIB)) == ["1"]
    assert slots.impossible(Claim(1, 0, 0, 0, 1, "", 81 * GIB)) == (
        "it needs 1 GPU with 81 GiB and this machine has 0: ask for fewer"
    )


def test_a_gpu_that_another_program_uses_is_not_given(tmp_path: Path) -> None:
    slots = machine(tmp_path, gpus=gpus("a100", "a100"))
    slots.others = {"0": "python, pid 7"}
    assert slots.choose(want(gpus=1)) == ["1"]
    line = line_of(want(gpus=2))
    assert next_of(line, slots) is None
    assert reasons(line, slots) == ["waits for 1 of 2 GPUs (used: GPU 0 by python, pid 7)"]


def test_reasons_name_what_is_missing_and_who_has_it(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=4, memory=16 * GIB, gpus=gpus("a100", "a100", "a100", "a100"))
    run(slots, "ta", want(gpus=2, cpus=1), "0", "1")
    run(slots, "tb", want(gpus=1, cpus=1, memory=12 * GIB), "2")
    line = line_of(want(gpus=3), want(memory=8 * GIB), want(cpus=3, gpus=1), want(gpus=3), want(gpus=1))
    assert reasons(line, slots) == [
        "waits for 2 of 3 GPUs (used by ta, tb)",
        "waits for 4 GiB of 8 GiB memory (used by tb); second in line",
        "waits for 1 of 3 cores (used by ta, tb); third in line",
        "4th in line",
        "waits for t0, which is before it and would be delayed; 5th in line",
    ]


def test_behind_many_the_place_is_not_counted(tmp_path: Path) -> None:
    slots = machine(tmp_path, cpus=1, max_tasks=1)
    run(slots, "old", want(slots=1))
    told = reasons(line_of(*[want(slots=1)] * 30), slots)
    assert told[19:21] == ["20th in line", "in line behind more than 19 others"]


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "first"), (3, "third"), (4, "4th"), (11, "11th"), (13, "13th"), (21, "21st"), (112, "112th")],
)
def test_places_are_said_as_people_say_them(number: int, word: str) -> None:
    assert ordinal(number) == word


CLAIMS = st.builds(want, cpus=st.integers(0, 3), memory=st.integers(0, 2), gpus=st.integers(0, 2)).filter(
    lambda claim: sum(claim.amounts[2:]) + claim.gpus > 0
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(running=st.lists(CLAIMS, max_size=3), waiting=st.lists(CLAIMS, min_size=1, max_size=5))
def test_who_passes_delays_nobody_whatever_ends_first(
    tmp_path: Path, running: list[Claim], waiting: list[Claim]
) -> None:
    """Whichever of those that run are left, whoever of those before it could run beside them, still can."""
    slots = machine(tmp_path, cpus=5, memory=3, gpus=gpus(*["x"] * 3))
    alive = []
    for number, claim in enumerate(running):
        if slots.fits(claim):
            run(slots, f"r{number}", claim, *slots.choose(claim))
            alive.append(claim)
    line = line_of(*waiting)
    chosen = line.next(slots)
    if chosen is None:
        return
    ahead = waiting[: int(chosen.created_at)]
    for left in _subsets(alive):
        for start in _subsets(ahead):
            if start and _together([*left, *start]):
                assert _together([*left, *start, chosen.wanted]), (left, start, chosen.wanted)


def _subsets(claims: list[Claim]) -> list[list[Claim]]:
    return [list(some) for size in range(len(claims) + 1) for some in itertools.combinations(claims, size)]


def _together(claims: list[Claim]) -> bool:
    totals = [sum(getattr(claim, name) for claim in claims) for name in ("cpus", "memory", "gpus")]
    return all(used <= there for used, there in zip(totals, (5, 3, 3), strict=True))
