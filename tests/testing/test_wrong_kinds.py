"""The kit tells right from wrong for the other kinds of plugins too."""

from __future__ import annotations

from pathlib import Path

# These two do not work when they are imported twice in a process, and pytester forgets what it saw imported.
import importlib_metadata  # noqa: F401
import pytest
import yaml  # noqa: F401

from flow_core import client, hookspecs, testing  # noqa: F401 - once, and not in every run of the kit

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
OPTIONS = ("-p", "no:cacheprovider", "-W", "error")
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


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run_kit(pytester: pytest.Pytester, kind: str, name: str, *options: str) -> pytest.RunResult:
    """Run the contract of a kind against a class of ``kinds``."""
    contract, _, more = CONTRACTS[kind]
    module = f"""
import kinds
from flow_core.testing import {contract}

class TestSubject({contract}):
    {kind} = kinds.{name}
    {more}
"""
    pytester.syspathinsert(str(HERE))
    pytester.makepyfile(test_kit=module)
    return pytester.runpytest_inprocess(*OPTIONS, *options)


@pytest.mark.parametrize("name", WRONG)
def test_the_wrong_plugin_is_caught_by_its_scenario(pytester: pytest.Pytester, name: str) -> None:
    kind, number = WRONG[name]
    outcomes = run_kit(pytester, kind, name, "-k", f"test_{number.lower()}_").parseoutcomes()

    assert outcomes.get("failed", 0) >= 1, outcomes


@pytest.mark.parametrize("kind", CONTRACTS)
def test_the_right_plugin_passes_all_of_its_contract(pytester: pytest.Pytester, kind: str) -> None:
    outcomes = run_kit(pytester, kind, CONTRACTS[kind][1]).parseoutcomes()

    assert set(outcomes) <= {"passed", "skipped"}, outcomes
