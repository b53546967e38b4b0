"""Third-party plugins from their wheels, in one fresh environment beside core and the local provider."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .conftest import EXAMPLES, ROOT, wheels
from .machine import Machine

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def machine(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    built = Machine.make(tmp_path_factory.mktemp("machine"))
    projects = (ROOT, ROOT / "plugins" / "flow_local", *EXAMPLES)
    built.pip("install", "pytest>=8", "mypy>=1.11", *wheels(dist, *projects))
    return built


def test_the_list_shows_every_plugin_and_imports_none(machine: Machine) -> None:
    listed = json.loads(machine("flow", "plugins", "list", "--json").stdout)["data"]

    assert sorted((p["kind"], p["name"], p["distribution"], p["problem"]) for p in listed) == [
        ("command", "hello", "flow-hello-command", ""),
        ("command", "local", "flow-local", ""),
        ("frontend", "toy-script", "flow-toy-frontend", ""),
        ("host plugin", "cost-guard", "flow-cost-guard", ""),
        ("provider", "local", "flow-local", ""),
        ("provider", "toy", "flow-toy", ""),
        ("result store", "folder", "flow-core", ""),
        ("result store", "toy-store", "flow-toy-store", ""),
    ]


def test_the_doctor_finds_nothing_wrong_with_any(machine: Machine) -> None:
    done = machine("flow", "plugins", "doctor")

    assert done.returncode == 0, done.stdout


def test_the_command_of_a_plugin_runs_and_is_in_the_help(machine: Machine) -> None:
    assert machine("flow", "hello", "--name", "Ada").stdout == "hello Ada: 0 tasks are running\n"
    assert "flow-hello-command 0.1.0" in machine("flow", "--help").stdout


def test_a_task_runs_on_the_third_partys_provider(machine: Machine) -> None:
    done = machine("flow", "run", "--quiet", "--provider", "toy", "echo out; exit 4", FLOW_COST_FREE="toy")

    assert (done.returncode, done.stdout) == (4, "out\n"), done.stderr


def test_the_cost_guard_refuses_and_says_who_it_is(machine: Machine) -> None:
    done = machine("flow", "run", "--provider", "toy", "true")

    assert done.returncode == 77
    assert "refused by host plugin 'cost-guard' (flow-cost-guard 0.1.0): toy names no price" in done.stderr


def test_the_cost_guard_writes_a_line_for_each_submission(machine: Machine, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"

    machine("flow", "run", "--quiet", "--provider", "local", "true", FLOW_COST_AUDIT=str(audit))

    (line,) = audit.read_text().splitlines()
    assert json.loads(line)["profile"] == "local"
    assert re.fullmatch(r"flow-[a-z0-9]+", json.loads(line)["outcome"])


def test_a_script_that_the_frontend_knows_runs_with_its_arguments(machine: Machine, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text('#!/bin/sh\n#FLOW num_instances: 2\n#FLOW provider: local\necho "$TOY_RANK of $TOY_NODES: $*"\n')

    done = machine("flow", "run", "--quiet", str(script), "--epochs", "3")

    assert sorted(done.stdout.splitlines()) == ["0 of 2: --epochs 3", "1 of 2: --epochs 3"], done.stderr


def test_problems_in_a_script_stand_at_its_lines(machine: Machine, tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/sh\n\n#FLOW num_instance: 2\n")

    done = machine("flow", "run", str(script))

    assert done.returncode == 64
    assert f"{script}:3:7: num_instance: unknown word" in done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_the_example_passes_its_own_tests(machine: Machine, example: Path) -> None:
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", "/dev/null", "--rootdir", str(example)]

    done = machine("python", "-B", "-m", "pytest", *options, str(example / "tests"))

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
