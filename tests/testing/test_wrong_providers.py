"""The kit tells right from wrong: each provider below is wrong in one way, and the scenario that names it says so."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flow_core.testing import ProviderContract
from flow_core.testing._contract import scenarios

Kit = Callable[..., Any]
PROVISION = {
    "UnsteadyFacts": "P01",
    "WaitsInSubmit": "P02",
    "SubmitsTwice": "P03",
    "ForgetsTheEnded": "P04",
    "ChecksThenActs": "P06",
    "FindMisses": "P07",
    "FindInvents": "P09",
    "ForgetsAfterRestart": "P10",
    "ReportsTheUnknown": "P12",
    "RaisesForTheUnknown": "P12",
    "TrustsNames": "P16",
    "DiesWithItsClient": "P17",
    "RefusesNothing": "P18",
    "SwallowsTheExitCode": "P21",
    "SubtractsSignals": "P22",
    "HasNoTimeLimit": "P24",
    "NeverRetries": "P25",
    "AlwaysRetries": "P26",
    "CancelsNothing": "P30",
    "CancelWaits": "P31",
    "CancelHasNoGrace": "P32",
    "CancelKillsTheCommandOnly": "P34",
    "CancelsTheEnded": "P35",
    "CancelsWhatNeverWas": "P36",
    "RaisesForeignErrors": "P36",
    "SecondCancelFails": "P37",
    "StartsOneRank": "P42",
    "HasNoLimit": "P01",
    "LeaksItsEnvironment": "P50",
    "StripsVariables": "P51",
    "JoinsArguments": "P53",
    "CopiesNoCode": "P55",
    "WritesSecretsDown": "P56",
    "ShowsSecretsInArguments": "P57",
    "PrintsSecrets": "P57",
    "PreviewShowsSecrets": "P58",
    "PreviewSubmits": "P58",
    "LeavesAThread": "P59",
    "HandlesSignals": "P59",
    "LeaksAProcess": "P60",
    "DearestFirst": "P61",
    "ReturnsNone": "P65",
    "LeavesFilesBehind": "C01",
    "CreatesTwice": "V02",
    "SharesNames": "V03",
    "EmptiesVolumes": "V05",
    "DeletesWhatIsInUse": "V07",
    "KeepsDeletedContent": "V08",
    "MountsWritable": "V09",
    "DeletesTheUnknown": "V06",
    "WritesWhenMade": "O07",
    "ExplainsNothing": "O08",
    "Misspelt": "O10",
}
LOGS = {
    "ReadsText": "L01",
    "DropsNul": "L01",
    "LosesTheLastLine": "L02",
    "StopsAtAMegabyte": "L04",
    "SplitsLongLines": "L05",
    "TellsOnlyTheEnd": "L07",
    "NeverEnds": "L03",
    "NeverFollows": "L08",
    "BeginsAgain": "L11",
    "ResumesByLine": "L10",
    "MixesTheStreams": "L14",
    "ReadsRankZero": "L16",
    "KeepsTheLastAttempt": "L17",
    "EndsWithTheTask": "L20",
}
WRONG = {**PROVISION, **LOGS}

MODULE = """
import subjects
from flow_core.testing import ProviderContract

class TestSubject(ProviderContract):
    provider = subjects.{name}
    settings = {{"root": "{{home}}/root"}}
    patience = 3.0
    linger = 1.0
    {more}
"""
NAMES = scenarios(ProviderContract)
_TRIES = 3


def run(kit: Kit, name: str, numbers: set[str], more: str = "") -> Any:
    """Run the named scenarios against a provider of ``subjects``."""
    return kit(MODULE.format(name=name, more=more), *(f"::TestSubject::{NAMES[number]}" for number in sorted(numbers)))


@pytest.mark.parametrize(("name", "number"), WRONG.items(), ids=WRONG)
def test_the_wrong_provider_is_caught_by_its_scenario(kit: Kit, name: str, number: str) -> None:
    # Some are wrong only in a race, which a machine that does much else may spare them: a few tries, as authors run it.
    outcomes = (run(kit, name, {number}) for _ in range(_TRIES))

    assert any(outcome.counts["failed"] for outcome in outcomes)


@pytest.mark.parametrize(("name", "numbers"), [("Right", PROVISION), ("Reader", LOGS)])
def test_the_right_provider_passes_the_same_scenarios(kit: Kit, name: str, numbers: dict[str, str]) -> None:
    outcome = run(kit, name, set(numbers.values()), "patience = 20.0")

    assert outcome.counts["passed"] >= len(set(numbers.values()))
    assert outcome.counts - Counter(passed=1000) == Counter(), outcome.said


def test_a_known_limit_that_fails_is_expected(kit: Kit) -> None:
    outcome = run(kit, "SwallowsTheExitCode", {"P23"}, 'known_limits = {"P23": "the platform drops it"}')

    assert outcome.counts == Counter(expected=1), outcome.said


def test_a_known_limit_that_does_not_hold_fails_the_run(kit: Kit) -> None:
    outcome = run(kit, "Right", {"P23"}, 'known_limits = {"P23": "the platform drops it"}')

    assert outcome.counts == Counter(failed=1), outcome.said
    assert "[XPASS(strict)] the platform drops it" in outcome.said


def test_a_limit_of_no_scenario_is_refused(kit: Kit) -> None:
    outcome = run(kit, "Right", {"P23"}, 'known_limits = {"P99": "never"}')

    assert outcome.counts == Counter(uncollected=1)
    assert "TestSubject has no scenario P99" in outcome.said


def test_a_hook_that_no_contract_of_the_module_claims_fails_the_run(kit: Kit) -> None:
    text = """
import subjects
from flow_core.testing import LoadContract, LogContract, ProvisionContract

class TestSubject(LoadContract, ProvisionContract, LogContract):
    provider = subjects.Right
    settings = {"root": "{home}/root"}
"""
    outcome = kit(text, "-k", "test_o09_")

    assert outcome.counts == Counter(failed=1)
    assert "hooks without a contract in this module: flow_volume_create" in outcome.said


def test_contracts_in_several_classes_of_a_module_claim_together(kit: Kit) -> None:
    text = """
import subjects
from flow_core.testing import LoadContract, LogContract, ProvisionContract, VolumeContract

class Subject:
    provider = subjects.Right
    settings = {"root": "{home}/root"}

class TestLoad(Subject, LoadContract): ...
class TestProvision(Subject, ProvisionContract): ...
class TestLogs(Subject, LogContract): ...
class TestVolumes(Subject, VolumeContract): ...
"""
    assert kit(text, "-k", "test_o09_").counts == Counter(passed=1)


def test_a_contract_without_a_plugin_is_skipped(kit: Kit) -> None:
    text = """
from flow_core.testing import LoadContract

class TestNothing(LoadContract): ...
"""
    outcome = kit(text)

    assert set(outcome.counts) == {"skipped"}


IMPORTS = {
    "O01": "import no_such_module_anywhere",
    "O03": "import threading, time; threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
    "O04": "open('/tmp/' + __name__, 'w').close(); import os; os.remove('/tmp/' + __name__)",
    "O05": "import os, signal; os.environ['ACME'] = '1'; signal.signal(signal.SIGUSR1, lambda *_: None)",
    "O06": "import time; time.sleep(1.1)",
}


ACME = """
from flow_core.testing import ProviderContract

class TestAcme(ProviderContract):
    provider = "acme"
    settings = {"root": "{home}/root"}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a plugin named ``acme`` installed whose module begins with the given text."""

    def install(body: str, requires: str = "Requires-Dist: flow-core>=1,<2") -> None:
        info = tmp_path / "site" / "flow_acme-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flow-acme\nVersion: 1.0\n{requires}\n")
        (info / "entry_points.txt").write_text("[flow.providers]\nacme = acme_plugin:Acme\n")
        (tmp_path / "site" / "acme_plugin.py").write_text(f"{body}\nfrom subjects import Right as Acme\n")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.delitem(sys.modules, "acme_plugin", raising=False)

    return install


@pytest.mark.parametrize(("number", "body"), IMPORTS.items(), ids=IMPORTS)
def test_an_import_that_does_something_is_caught(
    kit: Kit, install: Callable[..., None], number: str, body: str
) -> None:
    install(body)
    outcome = kit(ACME, "-k", f"test_{number.lower()}_")

    assert outcome.counts == Counter(failed=1), outcome.said
    assert "acme_plugin" not in sys.modules


@pytest.mark.parametrize("requires", ["Keywords: none", "Requires-Dist: flow-core>=1"])
def test_a_distribution_without_a_whole_range_of_flow_core_is_caught(
    kit: Kit, install: Callable[..., None], requires: str
) -> None:
    install("", requires)

    assert kit(ACME, "-k", "test_o02_").counts == Counter(failed=1)


def test_an_installed_plugin_loads(kit: Kit, install: Callable[..., None]) -> None:
    install("")
    outcome = kit(ACME, "-k", "test_o")

    assert set(outcome.counts) == {"passed"}, outcome.said
