"""The scenarios that are written down and those that are tested are the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from flow_core import hookspecs, testing
from flow_core.testing._contract import Contract, scenarios

BEHAVIOUR = Path(__file__).parents[2] / "docs" / "behaviour"
CONTRACTS = {
    "load": testing.LoadContract,
    "provision": testing.ProvisionContract,
    "logs": testing.LogContract,
    "auth": testing.AuthContract,
    "volumes": testing.VolumeContract,
    "shell": testing.ShellContract,
    "files": testing.FileContract,
    "functions": testing.FunctionContract,
    "results": testing.ResultStoreContract,
    "frontends": testing.FrontendContract,
    "secret_stores": testing.SecretStoreContract,
    "wrappers": testing.WrapperContract,
}
SPECS = (
    *hookspecs.PROVIDER_SPECS,
    *(hookspecs.FrontendHooks, hookspecs.ResultHooks, hookspecs.SecretHooks, hookspecs.HostHooks),
)


def written(area: str) -> dict[str, str]:
    """Return number -> title of the scenarios of a page."""
    found = re.findall(r"^## ([A-Z]\d\d) (.+)$", (BEHAVIOUR / f"{area}.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert max(Counter(number for number, _ in found).values()) == 1
    return dict(found)


def checked(area: str) -> dict[str, str]:
    """Return number -> title of the tests of an area's own contract."""
    letter = next(iter(written(area)))[0]
    names = scenarios(CONTRACTS[area])
    return {number: name[9:].replace("_", " ") for number, name in names.items() if number[0] == letter}


@pytest.mark.parametrize("area", CONTRACTS)
def test_every_scenario_has_one_test_of_its_number_and_title(area: str) -> None:
    assert {number: title.lower() for number, title in written(area).items()} == checked(area)


def test_every_page_of_behaviour_is_a_contract() -> None:
    assert {path.stem for path in BEHAVIOUR.glob("*.md")} == set(CONTRACTS)


@pytest.mark.parametrize("area", CONTRACTS)
def test_no_two_tests_have_the_same_number(area: str) -> None:
    names = [name for name in dir(CONTRACTS[area]) if re.match(r"test_[a-z]\d\d_", name)]

    assert max(Counter(name[:8] for name in names).values()) == 1


def test_every_hook_is_claimed_by_a_contract() -> None:
    hooks = {name for spec in SPECS for name in dir(spec) if name.startswith("flow_")}
    claims = {hook for contract in CONTRACTS.values() for hook in contract.claims}

    assert claims == hooks


def test_the_whole_contract_of_a_provider_holds_every_area_of_providers() -> None:
    for name, contract in CONTRACTS.items():
        assert issubclass(testing.ProviderContract, contract) == (contract.kind == "provider"), name


@pytest.mark.parametrize("name", testing.__all__)
def test_public_names_are_there_and_are_listed(name: str) -> None:
    found = getattr(testing, name)

    assert found.__name__ == name
    assert name in ("Bench", "order") or issubclass(found, Contract)


def test_no_other_part_of_core_imports_the_kit() -> None:
    core = Path(testing.__file__).parents[1]
    users = [
        path.relative_to(core)
        for path in core.rglob("*.py")
        if "testing" not in path.parts and "flow_core.testing" in path.read_text(encoding="utf-8")
    ]

    assert users == []


def test_the_kits_other_processes_do_not_import_pytest() -> None:
    code = "import sys, flow_core.testing._child, flow_core.testing._probe; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_the_kit_begins_with_loading_then_submitting():
    """Whoever stops at the first failure is told the cause, not what follows from it."""
    argv = ["pytest", "--collect-only", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "examples/flow_toy"]
    done = subprocess.run([sys.executable, "-m", *argv], cwd=BEHAVIOUR.parents[1], capture_output=True, text=True)
    numbers = re.findall(r"::test_([a-z]\d\d)_", done.stdout)
    loading = [number for number in numbers if number[0] == "o"]
    assert loading
    assert numbers[: len(loading) + 2] == [*loading, "p01", "p02"]
