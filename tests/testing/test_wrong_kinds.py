"""The kit tells right from wrong for the other kinds of plugins too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Kit = Callable[..., Any]
CONTRACTS = {
    "result_store": ("ResultStoreContract", "RightStore", 'settings = {"root": "{home}/root"}'),
    "frontend": (
        "FrontendContract",
        "RightFrontend",
        'samples = {"one": \'{"acme": "true"}\'}\n    broken = {"two": \'{"acme": \'}',
    ),
    "secret_store": ("SecretStoreContract", "RightVault", 'settings = {"root": "{home}/root"}'),
    "host_plugin": ("WrapperContract", "RightPolicy", ""),
}
WRONG = {
    "Overwrites": ("result_store", "R03"),
    "IgnoresOffsets": ("result_store", "R04"),
    "AnswersTheMissing": ("result_store", "R05"),
    "ListsEverything": ("result_store", "R06"),
    "DeletesTrees": ("result_store", "R07"),
    "KeepsHalves": ("result_store", "R08"),
    "TrustsSums": ("result_store", "R09"),
    "TakesPaths": ("result_store", "R13"),
    "GivesOnePlace": ("result_store", "R16"),
    "DetectsNothing": ("frontend", "T01"),
    "DetectsEverything": ("frontend", "T02"),
    "ReadsInvalidTasks": ("frontend", "T03"),
    "LeavesFilesBehind": ("frontend", "T04"),
    "PointsNowhere": ("frontend", "T05"),
    "RaisesWhatJsonRaises": ("frontend", "T06"),
    "ForgetsArguments": ("frontend", "T08"),
    "StripsSecrets": ("secret_store", "K01"),
    "RaisesForTheMissing": ("secret_store", "K02"),
    "ListsValues": ("secret_store", "K03"),
    "ForgetsEverything": ("secret_store", "K04"),
    "RemembersInMemory": ("secret_store", "K05"),
    "ChangesAnswers": ("host_plugin", "W01"),
    "SwallowsErrors": ("host_plugin", "W03"),
    "ReadsStreamsAsText": ("host_plugin", "W04"),
    "SharesItsWrapper": ("host_plugin", "W05"),
    "RefusesWithoutReason": ("host_plugin", "W07"),
    "StumblesOverEvents": ("host_plugin", "W08"),
    "WritesSecretsDown": ("host_plugin", "W10"),
}


def module(kind: str, name: str) -> str:
    """Return a test module for a class of ``kinds``."""
    contract, _, more = CONTRACTS[kind]
    return f"""
import kinds
from flow_core.testing import {contract}

class TestSubject({contract}):
    {kind} = kinds.{name}
    {more}
"""


@pytest.mark.parametrize("name", WRONG)
def test_the_wrong_plugin_is_caught_by_its_scenario(kit: Kit, name: str) -> None:
    kind, number = WRONG[name]
    outcome = kit(module(kind, name), "-k", f"test_{number.lower()}_")

    assert outcome.counts["failed"] >= 1, outcome


@pytest.mark.parametrize("kind", CONTRACTS)
def test_the_right_plugin_passes_all_of_its_contract(kit: Kit, kind: str) -> None:
    outcome = kit(module(kind, CONTRACTS[kind][1]))

    assert outcome.counts["passed"] > 10
    assert outcome.counts - Counter(passed=1000, skipped=1000) == Counter(), outcome.said
