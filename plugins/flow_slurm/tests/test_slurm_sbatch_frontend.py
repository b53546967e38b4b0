"""The frontend ``sbatch``: the kit, and what becomes of what a script asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from flow_core import ConfigError, FrontendTask, TaskConfig
from flow_core.testing import FrontendContract
from flow_core.types import new_task_id
from flow_slurm._directives import directives
from flow_slurm._settings import SlurmOptions
from flow_slurm.sbatch import Script, read
from flow_slurm.sbatch.client import client_options
from flow_slurm.sbatch.options import OPTIONS, PASSED, Option, by_long, table
from flow_slurm.shims.number import number, prefix

from .cluster import Cluster

HEAD = "#!/bin/bash\n"
TRAIN = HEAD + "#SBATCH -J train --time=1-0 -N2 --gres=gpu:a100:4\n#SBATCH --signal=B:USR1@300\necho $1\n"


class TestSbatchFrontend(FrontendContract):
    frontend = "sbatch"
    samples: ClassVar[dict[str, str]] = {
        "train.sh": TRAIN,
        "array.sh": HEAD + "#SBATCH --array=0-4%2\necho $SLURM_ARRAY_TASK_ID\n",
        "plain.sbatch": HEAD + "hostname\n",
    }
    broken: ClassVar[dict[str, str]] = {
        "open.sh": HEAD + "#SBATCH -J 'a\ntrue\n",
        "word.sh": HEAD + "#SBATCH stray\ntrue\n",
        "option.sh": HEAD + "#SBATCH --nodess=2\ntrue\n",
        "time.sh": HEAD + "#SBATCH -t soon\ntrue\n",
        "dos.sh": "#!/bin/bash\r\n#SBATCH -J a\r\ntrue\r\n",
    }


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "flow"))


def tasks(text: str, *options: str, **environ: str) -> list[FrontendTask]:
    return read(Script((HEAD + text).encode(), "job.sh"), environ, options)


def task(text: str, *options: str, **environ: str) -> FrontendTask:
    (one,) = tasks(text, *options, **environ)
    return one


def refusal(text: str, *options: str) -> Any:
    with pytest.raises(ConfigError) as refused:
        tasks(text, *options)
    return refused.value.problems[0]


def test_what_flow_has_words_for_is_said_in_them() -> None:
    config = task(
        "#SBATCH -J 'Big Run' -t 90 -N 2 --ntasks-per-node=2 -c 4 --mem=16G --tmp=1G --gres=gpu:A100:2\n"
        "#SBATCH -D /data --nice=10 --no-requeue --comment=mine --signal=USR1@60\n"
    ).config

    assert (config.name, config.labels) == ("big-run", {"job-name": "Big Run", "comment": "mine"})
    assert (config.time_limit, config.num_instances, config.working_dir) == (5400.0, 2, "/data")
    needs = config.resources
    assert (needs.cpus, needs.memory, needs.disk, needs.gpu, needs.gpu_count) == (8.0, 16 << 30, 1 << 30, "a100", 2)
    assert (config.priority, config.max_preemptions, config.preempt_signal) == (-10, 0, "USR1")


@pytest.mark.parametrize(
    ("asked", "nodes", "cpus", "gpus", "gib"),
    [
        ("-n 6 -N 2 -c 2", 2, 6.0, 0, None),
        ("-n 8 --ntasks-per-node=4", 2, 4.0, 0, None),
        ("-N 2-4", 2, None, 0, None),
        ("-n 1 -N 4", 1, None, 0, None),
        ("-c 4 --mem-per-cpu=2G", 1, 4.0, 0, 8),
        ("-N 2 --gpus=8", 2, None, 4, None),
        ("-N 2 -n 8 --gpus-per-task=1", 2, 4.0, 4, None),
        ("--gpus-per-node=2 --cpus-per-gpu=6 --mem-per-gpu=32G", 1, 12.0, 2, 64),
        ("-n 64 --overcommit", 1, 1.0, 0, None),
        ("--mem=0 --exclusive", 1, None, 0, None),
        ("-w node[1-3]", 3, None, 0, None),
        ("-w node[1-3] -n 2", 2, None, 0, None),
    ],
)
def test_counts_of_a_node(asked: str, nodes: int, cpus: float | None, gpus: int, gib: int | None) -> None:
    config = task(f"#SBATCH {asked}\n").config
    needs = config.resources

    memory = None if needs.memory is None else needs.memory >> 30
    assert (config.num_instances, needs.cpus, needs.gpu_count, memory) == (nodes, cpus, gpus, gib)


def test_more_named_nodes_than_nodes_are_refused() -> None:
    assert refusal("#SBATCH -N1\n#SBATCH -w node[1-2]\n").line == 3


def test_what_means_nothing_elsewhere_is_said_once_by_name_and_line() -> None:
    notes = task("#SBATCH -p gpu\n#SBATCH --mail-type=END --qos=high\n").notes

    assert [(note.severity, note.line, note.message.partition(":")[0]) for note in notes] == [
        ("warning", 2, "--partition"),
        ("warning", 3, "--mail-type"),
        ("warning", 3, "--qos"),
    ]


@pytest.mark.parametrize(
    "option",
    [
        "--hold",
        "--begin=now+1hour",
        "--deadline=noon",
        "--bb=x",
        "--container=/c",
        "--gpus-per-socket=1",
        "--gres=shard:1",
    ],
)
def test_what_cannot_be_left_out_is_refused_at_its_line(option: str) -> None:
    (note,) = task(f"#SBATCH {option}\n").notes

    assert (note.severity, note.code, note.line, note.column) == ("error", "REFUSED", 2, 9)


def test_a_refusal_is_for_other_providers_and_slurm_gets_the_option_itself() -> None:
    read_ = task("#SBATCH --hold -p gpu -C 'a&b' -A me --begin=now+60\n")

    assert read_.native == "slurm"
    assert read_.config.options["slurm"] == {
        "partition": "gpu",
        "constraint": "a&b",
        "account": "me",
        "extra": ["--hold", "--begin=now+60"],
    }


def test_the_command_line_wins_over_the_environment_and_that_over_the_script() -> None:
    script = "#SBATCH -J script -t 1\n"

    assert task(script).config.name == "script"
    assert task(script, SBATCH_JOB_NAME="variable").config.name == "variable"
    found = task(script, "-J", "flag", "--mem-per-cpu=2G", SBATCH_MEM_PER_NODE="1G", SBATCH_TIMELIMIT="5").config
    assert (found.name, found.time_limit, found.resources.memory) == ("flag", 300.0, 2 << 30)


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("#SBATCH -J a\n#SBATCH  -t soon\n", 3, 10, "a time is"),
        ("#SBATCH --nodess=2\n", 2, 9, "did you mean --nodes"),
        ("#SBATCH --workdir=/x\n", 2, 9, "--chdir"),
        ("#SBATCH --mem-p=2\n", 2, 9, "ambiguous"),
        ("#SBATCH -J a b\n", 2, 14, "invalid directive"),
        ("#SBATCH -N2 --gpus=3\n", 2, 13, "shared evenly"),
        ("#SBATCH --gres=gpu:a100:1,gpu:h100:1\n", 2, 9, "one kind"),
        ("#PBS -N x\n", 2, 1, "#SBATCH"),
    ],
)
def test_wrong_input_is_named_with_line_and_column(text: str, line: int, column: int, said: str) -> None:
    problem = refusal(text)

    assert (problem.line, problem.column) == (line, column)
    assert said in f"{problem.message} {problem.hint}"


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        tasks("#SBATCH -t soon\n#SBATCH -N x --mem=1.5G\n")

    assert [problem.line for problem in refused.value.problems] == [2, 3, 3]


def test_an_array_is_a_task_for_each_index_and_the_throttle_a_chain() -> None:
    found = tasks("#SBATCH --array=1-9:2%2\n")

    assert [one.config.labels["array-index"] for one in found] == ["1", "3", "5", "7", "9"]
    assert [one.after for one in found] == [(), (), (0,), (1,), (2,)]


def test_variables_of_the_submitter_that_the_script_names_go_along_and_keys_as_secrets() -> None:
    text = 'python t.py --lr "${LR:-1}" $WANDB_API_KEY $HOME $UNSET\n'
    found = task(text, LR="0.1", WANDB_API_KEY="k", HOME="/h", OTHER="o").config

    assert dict(found.env) == {"LR": "0.1"}
    assert [ref.name for ref in found.secrets] == ["WANDB_API_KEY"]
    assert dict(task(text, "--export=NONE", LR="0.1").config.env) == {}
    assert dict(task(text, "--export=OTHER,X=1", LR="0.1", OTHER="o").config.env) == {"OTHER": "o", "X": "1"}


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("afterok:470301", "no task of the number 470301"),
        ("afternotok:4", "afternotok"),
        ("after:4+5", "after "),
        ("x:1", "KIND"),
    ],
)
def test_a_dependency_that_flow_cannot_keep_is_slurms_alone(condition: str, said: str) -> None:
    one = task(f"#SBATCH -d {condition}\n")

    assert (one.notes[0].severity, one.notes[0].line, said in one.notes[0].message) == ("error", 2, True)
    assert one.config.options["slurm"] == {"dependency": condition}


def test_the_script_travels_byte_for_byte() -> None:
    body = HEAD.encode() + b"#SBATCH -J a\necho \xff\xfe\n"

    assert read(Script(body, "job.sh"), {})[0].files["sbatch/slurm_script"] == body


def test_a_number_leads_back_to_its_task() -> None:
    assert prefix(number("t01m84m1mem7wzeyb")) == "t01m84m1mem7wz"
    assert number("t01m84m1mem7wzeyb") < number("t01m84m1mex00000a")


def test_numbers_of_one_millisecond_differ_and_are_whole_for_programs_without_integers() -> None:
    found = {number(new_task_id(1795000000.0)) for _ in range(50)}

    assert len(found) >= 44  # of 32768 two may be the same, six never are; of 32 there would be 25
    assert max(found) < 2**53


def test_a_heterogeneous_job_is_refused_on_every_provider() -> None:
    problem = refusal("#SBATCH -N1\n#SBATCH hetjob\n#SBATCH -N2\n")

    assert (problem.line, "alike" in problem.message) == (3, True)


# A value of each option that must have one, and is read.
VALUES = {
    "time": "5", "nodes": "2", "ntasks": "2", "ntasks-per-node": "2", "ntasks-per-gpu": "2", "cpus-per-task": "2",
    "mem": "1G", "mem-per-cpu": "1G", "mem-per-gpu": "1G", "tmp": "1G", "gres": "gpu:1", "gpus": "1", "gpus-per-node": "1",
    "gpus-per-task": "1", "cpus-per-gpu": "2", "array": "0-1", "dependency": "singleton", "signal": "USR1", "mincpus": "2",
    "nice": "5", "time-min": "1", "export": "A=b", "chdir": "/tmp", "kill-on-invalid-dep": "no", "wait-all-nodes": "1",
    "open-mode": "append",
}  # fmt: skip
WITH = {"mem-per-gpu": "--gpus=1", "ntasks-per-gpu": "--gpus=1", "cpus-per-gpu": "--gpus=1", "overcommit": "-n 4 -c 2"}
DEFAULTS = ("requeue", "dependency")  # what Flow does anyway; and there is no task of that name


def fates(option: Option) -> tuple[str, str]:
    """What becomes of an option: (elsewhere, on Slurm), as far as it can be seen."""
    value = VALUES.get(option.name, "x") if option.kind == "required" else VALUES.get(option.name)
    said = option.dashed if value is None else f"{option.dashed}={value}"
    options = (*WITH.get(option.name, "").split(), *((said,) if option.name in ONLY_SAID else ()))
    text = "" if option.name in ONLY_SAID else f"#SBATCH {said}\n"
    try:
        found = tasks(text, *options)[0]
    except ConfigError as error:
        return ("refused",) * 2 if error.problems[0].line == 2 else ("", "")
    plain = tasks("", *WITH.get(option.name, "").split())[0]
    passed = PASSED if said in set(_passed(found)) - set(_passed(plain, found.config)) else ""
    if any(option.dashed in note.message for note in found.remarks):
        return "meaningless", "meaningless"
    noted = [note.severity for note in found.notes if note.message.startswith(f"{option.dashed}:")]
    if noted and option.fate != "mapped":
        return {"error": "refused", "warning": "meaningless"}[noted[0]], passed
    if option.name in client_options(found):
        return "client", "client"
    node = json.loads(found.files["sbatch/job.json"])["given"]
    if option.fate == "emulated":
        return ("emulated",) * 2 if option.name in node else ("", "")
    bare = attrs.evolve(found.config, options={})
    mapped = "mapped" if bare != plain.config or noted or option.name in DEFAULTS else ""
    return mapped, passed or mapped


ONLY_SAID = ("help", "usage", "version", "test-only", "wrap")  # on the command line alone


def _passed(found: FrontendTask, config: TaskConfig | None = None) -> list[str]:
    """What the provider gives to the cluster's sbatch."""
    options = SlurmOptions(**found.config.options.get("slurm", {}))
    return list(directives(config or found.config, options, None, None, ()))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_no_option_is_dropped_without_a_word(option: Option) -> None:
    assert fates(option) == (option.fate, option.on_slurm)


@pytest.mark.parametrize("option", ONLY_SAID)
def test_what_is_for_the_command_line_is_refused_in_a_script(option: str) -> None:
    value = "=true" if option == "wrap" else ""

    assert "command line only" in refusal(f"#SBATCH --{option}{value}\n").message


def test_the_table_has_every_option_of_the_sbatch_that_is_here(cluster: Cluster) -> None:
    shown = cluster.ask("sbatch", "--help")

    names = set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", shown, re.MULTILINE))
    assert names > {"job-name", "wckey"}
    assert names - set(by_long()) == set()


@pytest.mark.parametrize("asked", ["--mem=0", "--gres=gpu:1,shard:2", "--nice", "--nice=7", "--kill-on-invalid-dep=no"])
def test_what_flow_has_no_word_for_goes_to_the_cluster_as_it_is(asked: str) -> None:
    assert _passed(task(f"#SBATCH {asked}\n"))[-1] == asked


def test_a_range_of_nodes_is_said_to_be_its_least_on_every_provider() -> None:
    (remark,) = task("#SBATCH -N 1-3\n").remarks

    assert (remark.code, remark.severity, remark.line) == ("LEAST", "warning", 2)


def test_the_page_has_the_table_of_every_option() -> None:
    page = Path(__file__).parents[3] / "docs" / "sbatch.md"

    assert page.read_text().endswith(table()), "write flow_slurm.sbatch.options.table() at its end"
