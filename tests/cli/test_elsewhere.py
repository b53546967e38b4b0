"""offers, volumes, schema and completion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from flow_core.cli._answers import ANSWERS
from flow_core.cli._catalog import COMMANDS
from flow_core.cli._schema import answers

if TYPE_CHECKING:
    from conftest import Answer, Program


def _valid(answer: Answer) -> Answer:
    """Check every envelope on stdout against its published schema."""
    known = answers()
    for line in answer.out.splitlines():
        envelope = json.loads(line)
        Draft202012Validator(known[envelope["schema"]]).validate(envelope)
    assert answer.out
    return answer


def test_offers_are_a_table_for_people_and_rows_for_programs(flow: Program) -> None:
    header, row = flow("offers").out.splitlines()
    assert header.split()[0] == "TYPE"
    assert row.split()[0].endswith("xcpu")
    assert _valid(flow("offers", "--json")).data[0]["instance_type"] == row.split()[0]


def test_a_gpu_that_nobody_has_gives_no_offers(flow: Program) -> None:
    assert flow("offers", "--gpu", "8xnonsuch", "--json").data == []


def test_a_volume_lives_until_it_is_deleted(flow: Program) -> None:
    created = _valid(flow("volume", "create", "data", "--size", "2GB", "--json")).data
    assert (created["name"], created["size_gb"]) == ("data", 2)
    flow("run", "-q", "--volume", "data:/data", "true")
    assert [row["name"] for row in _valid(flow("volume", "list", "--json")).data] == ["data"]
    assert _valid(flow("volume", "show", "data", "--json")).data["id"] == created["id"]
    assert flow("volume", "show", "data").out.splitlines()[0].split() == ["name", "data"]
    assert _valid(flow("volume", "delete", "data", "--yes", "--json")).data["deleted"] is True
    assert flow("volume", "list", "--json").data == []


def test_a_volume_is_not_deleted_unasked(flow: Program) -> None:
    flow("volume", "create", "data")
    answer = flow("volume", "delete", "data")
    assert answer.status == 2
    assert "say --yes" in answer.last_line
    assert len(flow("volume", "list", "--json").data) == 1


def test_an_unknown_volume_is_not_found(flow: Program) -> None:
    assert flow("volume", "show", "nope").status == 66


def test_the_schema_of_a_task_accepts_a_task(flow: Program) -> None:
    schema = json.loads(flow("schema", "task").out)
    Draft202012Validator(schema).validate({"command": "echo hi", "gpu": "8xh100"})
    assert list(Draft202012Validator(schema).iter_errors({"command": 3}))


def test_the_tree_has_every_command_and_its_flags(flow: Program) -> None:
    tree = json.loads(flow("schema", "commands").out)
    assert set(COMMANDS) <= set(tree)
    flags = [flag for parameter in tree["run"]["parameters"] for flag in parameter.get("flags", [])]
    assert {"--gpu", "-d", "--no-spot", "--json"} <= set(flags)
    assert "create" in tree["volume"]["commands"]


def test_the_exit_codes_are_in_the_schema(flow: Program) -> None:
    codes = json.loads(flow("schema", "exit-codes").out)
    assert (codes["2"], codes["64"], codes["70"]) == ("USAGE", "CONFIG", "PROVIDER or INTERNAL")


def test_every_command_with_json_has_a_schema_for_its_answer(flow: Program) -> None:
    def leaves(tree: dict[str, Any], path: str) -> list[str]:
        found = []
        for name, command in tree.items():
            if "commands" in command:
                found += leaves(command["commands"], f"{path}{name}.")
            elif any("--json" in parameter.get("flags", []) for parameter in command.get("parameters", ())):
                found.append(path + name)
        return found

    assert set(leaves(json.loads(flow("schema", "commands").out), "")) == set(ANSWERS)


def test_the_answers_are_what_their_schemas_say(flow: Program) -> None:
    task = _valid(flow("run", "-d", "--json", "echo hi; sleep 0.2; exit 3")).data["id"]
    _valid(flow("run", "--json", "true"))
    _valid(flow("run", "--dry-run", "--json", "true"))
    _valid(flow("logs", "-f", "--json", task))
    _valid(flow("logs", "--json", task))
    _valid(flow("wait", "--json", task))
    _valid(flow("status", "--json"))
    _valid(flow("status", "--json", task))
    _valid(flow("cancel", "--json", task))
    _valid(flow("retry", "--json", task))
    _valid(flow("config", "show", "--json"))
    _valid(flow("config", "path", "--json"))
    _valid(flow("plugins", "list", "--json"))
    _valid(flow("plugins", "show", "local", "--json"))
    _valid(flow("schema", "--json"))
    _valid(flow("completion", "bash", "--json"))
    _valid(flow("secret", "list", "--json"))
    _valid(flow("doctor", "--json"))
    _valid(flow("logs", "--json", "nope"))
    _valid(flow("run", "--json", "--retries", "x", "true"))


def _completed(flow: Program, words: str) -> list[str]:
    environ = {
        "_FLOW_COMPLETE": "bash_complete",
        "COMP_WORDS": f"flow {words}",
        "COMP_CWORD": str(len(words.split(" "))),
    }
    out = flow(**environ).out
    return [line.partition(",")[2] for line in out.splitlines()]


def test_commands_complete(flow: Program) -> None:
    assert _completed(flow, "st") == ["status"]
    assert _completed(flow, "volume cr") == ["create"]


def test_tasks_complete_by_name_and_by_id(flow: Program) -> None:
    task = flow.submit("true", "--name", "train")
    assert _completed(flow, "logs tr") == ["train"]
    assert _completed(flow, f"logs {task[:4]}") == [task]


def test_profiles_and_plugins_complete(flow: Program) -> None:
    assert _completed(flow, "run --provider lo") == ["local"]
    assert _completed(flow, "plugins show lo") == ["local"]


def test_options_complete(flow: Program) -> None:
    assert "--gpu" in _completed(flow, "run --g")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_takes_the_script(flow: Program, shell: str) -> None:
    script = flow("completion", shell).out
    assert "_FLOW_COMPLETE" in script
    if shutil.which(shell):
        argument = {"bash": "-n", "zsh": "-n", "fish": "--no-execute"}[shell]
        assert subprocess.run([shell, argument], input=script.encode(), check=False).returncode == 0


def test_bash_completes_with_the_script(flow: Program, tmp_path: object) -> None:
    if shutil.which("bash") is None or shutil.which("flow", path=os.path.dirname(sys.executable)) is None:
        pytest.skip("bash and an installed flow are needed")
    script = (
        'eval "$(flow completion bash)"\nCOMP_WORDS=(flow sta) COMP_CWORD=1 COMP_LINE="flow sta" COMP_POINT=8\n'
        '_flow_completion flow\necho "${COMPREPLY[@]}"\n'
    )
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{flow.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env={**flow.environ, "PATH": path}, capture_output=True, check=False
    )
    assert done.stdout.decode().strip() == "status", done.stderr
