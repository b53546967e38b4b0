"""The kit tells right from wrong: each provider below is wrong in one way, and the scenario that names it says so."""

from __future__ import annotations

import sys
from pathlib import Path

# These two do not work when they are imported twice in a process, and pytester forgets what it saw imported.
import importlib_metadata  # noqa: F401
import pytest
import yaml  # noqa: F401

from flow_core import client, hookspecs, journal, nodes  # noqa: F401 - once, and not in every run of the kit
from flow_core.testing import ProviderContract
from flow_core.testing._contract import scenarios

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
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
    "PreviewShowsSecrets": "P58",
    "PreviewSubmits": "P58",
    "LeavesAThread": "P59",
    "HandlesSignals": "P59",
    "LeaksAProcess": "P60",
    "DearestFirst": "P61",
    "ReturnsNone": "P65",
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
OPTIONS = ("-p", "no:cacheprovider", "-W", "error")
NAMES = scenarios(ProviderContract)


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run_kit(pytester: pytest.Pytester, name: str, numbers: set[str], more: str = "") -> pytest.RunResult:
    """Run the named scenarios against a provider of ``subjects``."""
    pytester.syspathinsert(str(HERE))
    pytester.makepyfile(test_kit=MODULE.format(name=name, more=more))
    return pytester.runpytest_inprocess(*OPTIONS, *(f"test_kit.py::TestSubject::{NAMES[n]}" for n in sorted(numbers)))


@pytest.mark.parametrize(("name", "number"), WRONG.items(), ids=WRONG)
def test_the_wrong_provider_is_caught_by_its_scenario(pytester: pytest.Pytester, name: str, number: str) -> None:
    outcomes = run_kit(pytester, name, {number}).parseoutcomes()

    assert outcomes.get("failed", 0) >= 1, outcomes


@pytest.mark.parametrize(("name", "numbers"), [("Right", PROVISION), ("Reader", LOGS)])
def test_the_right_provider_passes_the_same_scenarios(
    pytester: pytest.Pytester, name: str, numbers: dict[str, str]
) -> None:
    outcomes = run_kit(pytester, name, set(numbers.values()), "patience = 20.0").parseoutcomes()

    assert set(outcomes) == {"passed"}, outcomes


def test_a_known_limit_that_fails_is_expected(pytester: pytest.Pytester) -> None:
    outcomes = run_kit(pytester, "SwallowsTheExitCode", {"P23"}, 'known_limits = {"P23": "the platform drops it"}')

    assert outcomes.parseoutcomes() == {"xfailed": 1}


def test_a_known_limit_that_does_not_hold_fails_the_run(pytester: pytest.Pytester) -> None:
    result = run_kit(pytester, "Right", {"P23"}, 'known_limits = {"P23": "the platform drops it"}')

    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*XPASS(strict)*the platform drops it*"])


def test_a_limit_of_no_scenario_is_refused(pytester: pytest.Pytester) -> None:
    result = run_kit(pytester, "Right", {"P23"}, 'known_limits = {"P99": "never"}')

    result.stdout.fnmatch_lines(["*TestSubject has no scenario P99*"])


def test_a_hook_that_no_contract_of_the_module_claims_fails_the_run(pytester: pytest.Pytester) -> None:
    pytester.syspathinsert(str(HERE))
    pytester.makepyfile(
        test_kit="""
        import subjects
        from flow_core.testing import LoadContract, LogContract, ProvisionContract

        class TestSubject(LoadContract, ProvisionContract, LogContract):
            provider = subjects.Right
            settings = {"root": "{home}/root"}
        """
    )
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "test_o09_")

    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*hooks without a contract in this module: flow_volume_create*"])


def test_contracts_in_several_classes_of_a_module_claim_together(pytester: pytest.Pytester) -> None:
    pytester.syspathinsert(str(HERE))
    pytester.makepyfile(
        test_kit="""
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
    )
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "test_o09_")

    assert result.parseoutcomes()["passed"] == 1


IMPORTS = {
    "O01": "import no_such_module_anywhere",
    "O03": "import threading, time; threading.Thread(target=time.sleep, args=(5,), daemon=True).start()",
    "O04": "open('/tmp/' + __name__, 'w').close(); import os; os.remove('/tmp/' + __name__)",
    "O05": "import os, signal; os.environ['ACME'] = '1'; signal.signal(signal.SIGUSR1, lambda *_: None)",
    "O06": "import time; time.sleep(1.1)",
}


def installed(pytester: pytest.Pytester, body: str, requires: str = "flow-core>=1,<2") -> None:
    """Make a plugin named ``acme`` installed whose module begins with ``body``."""
    info = pytester.mkdir("site") / "flow_acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flow-acme\nVersion: 1.0\n{requires}\n")
    (info / "entry_points.txt").write_text("[flow.providers]\nacme = acme_plugin:Acme\n")
    (pytester.path / "site" / "acme_plugin.py").write_text(f"{body}\nfrom subjects import Right as Acme\n")
    pytester.syspathinsert(str(pytester.path / "site"))
    pytester.syspathinsert(str(HERE))
    pytester.makepyfile(
        test_kit="""
        from flow_core.testing import ProviderContract

        class TestAcme(ProviderContract):
            provider = "acme"
            settings = {"root": "{home}/root"}
        """
    )


@pytest.mark.parametrize(("number", "body"), IMPORTS.items(), ids=IMPORTS)
def test_an_import_that_does_something_is_caught(pytester: pytest.Pytester, number: str, body: str) -> None:
    installed(pytester, body, "Requires-Dist: flow-core>=1,<2")
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", f"test_{number.lower()}_")

    assert result.parseoutcomes()["failed"] == 1
    assert "acme_plugin" not in sys.modules


@pytest.mark.parametrize("requires", ["Keywords: none", "Requires-Dist: flow-core>=1"])
def test_a_distribution_without_a_whole_range_of_flow_core_is_caught(pytester: pytest.Pytester, requires: str) -> None:
    installed(pytester, "", requires)
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "test_o02_")

    assert result.parseoutcomes()["failed"] == 1


def test_an_installed_plugin_loads(pytester: pytest.Pytester) -> None:
    installed(pytester, "", "Requires-Dist: flow-core>=1,<2")
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "test_o")

    assert set(result.parseoutcomes()) == {"passed", "deselected"}
