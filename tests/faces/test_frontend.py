"""Tasks that are read from files: who reads them, where their problems stand, and what rides along."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from flow_core import Flow
from flow_core.errors import ConfigError, PluginError
from flow_core.types import FrontendTask, Problem, TaskConfig

HEAD = """
from pathlib import Path
from flow_core import FrontendTask, Problem, TaskConfig, hookimpl
from flow_core.hookspecs import FrontendHooks

class Frontend(FrontendHooks):
    @hookimpl
    def flow_frontend_detect(self, source):
        return {sure} if source.endswith(".batch") else 0.0
"""
READ = """
    @hookimpl
    def flow_frontend_read(self, source, arguments):
        text = Path(source).read_text()
        command = ("sh", "-c", 'sh "$FLOW_TASK_DIR/files/body" "$@"', "body", *arguments)
        config = TaskConfig(command=command, num_instances=int(text.split()[1]), code={code})
        return [FrontendTask(config, {{"num_instances": (1, 7)}}, notes={notes}, files={{"body": b'echo "$WORD $*"'}})]
    @hookimpl
    def flow_frontend_environment(self, config, rank):
        return {{"WORD": f"rank {{rank}} of {{config.num_instances}}"}}
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLOW_DEFAULT", "local")  # whatever else is installed
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def install(work: Path, name: str, sure: float = 0.9, notes: str = "()", read: str = READ) -> None:
    site = work.parent
    module = f"frontend_{site.name.replace('-', '_')}_{name}"
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: frontend-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flow.frontends]\n{name} = {module}:Frontend\n")
    code = "__import__('flow_core').CodeSpec(mode='none')"
    (site / f"{module}.py").write_text(HEAD.format(sure=sure) + read.format(notes=notes, code=code))


def batch(work: Path, text: str = "nodes 2\n") -> str:
    (work / "job.batch").write_text(text)
    return "job.batch"


def problems(error: ConfigError) -> list[str]:
    return [str(problem) for problem in error.problems]


def test_the_surest_frontend_reads_the_file(work: Path) -> None:
    install(work, "less", 0.6)
    install(work, "more", 0.8)

    (task,) = Flow().read(batch(work), ["one"])

    assert (task.frontend, task.source, task.config.num_instances) == ("more", "job.batch", 2)


def test_a_tie_names_both(work: Path) -> None:
    install(work, "alpha")
    install(work, "beta")

    with pytest.raises(ConfigError, match="the frontends alpha and beta, which are equally sure") as caught:
        Flow().read(batch(work))
    assert caught.value.hint == "say which, as --frontend alpha"
    assert Flow().read("job.batch", frontend="beta")[0].frontend == "beta"


def test_one_that_is_hardly_sure_is_not_asked_to_read(work: Path) -> None:
    install(work, "unsure", 0.4)

    with pytest.raises(ConfigError, match=r"job\.batch is not a file that Flow can read a task from") as caught:
        Flow().read(batch(work))
    assert "frontends installed: unsure" in caught.value.hint


def test_a_broken_frontend_is_passed_over_with_a_warning(work: Path) -> None:
    install(work, "bad", read="raise RuntimeError('boom')")
    install(work, "good")

    with pytest.warns(UserWarning, match=r"'bad' \(frontend-bad 1.0\).*it was not asked about job.batch"):
        assert Flow().read(batch(work))[0].frontend == "good"


def test_a_frontend_that_lacks_a_required_hook_is_named(work: Path) -> None:
    install(work, "half", read="")

    with pytest.raises(PluginError, match=r"'half'.*lacks the required flow_frontend_read"):
        Flow().read(batch(work), frontend="half")


def test_a_surety_beyond_one_is_the_plugins_fault(work: Path) -> None:
    install(work, "loud", 1.5)

    with pytest.warns(UserWarning, match="returned float, not a number from 0 to 1"), pytest.raises(ConfigError):
        Flow().read(batch(work))


def test_a_plain_task_file_needs_no_frontend(work: Path) -> None:
    (work / "task.yaml").write_text("command: 'true'\nnum_instances: 3\n")

    (task,) = Flow().read("task.yaml")

    assert (task.config.num_instances, task.frontend, task.positions["num_instances"]) == (3, "", (2, 1))
    with pytest.raises(ConfigError, match="takes no arguments: one"):
        Flow().read("task.yaml", ["one"])


def test_a_plain_files_problems_stand_at_their_lines(work: Path) -> None:
    (work / "task.yaml").write_text("command: 'true'\nnum_instance: 3\n")

    with pytest.raises(ConfigError) as caught:
        Flow().read("task.yaml")
    assert problems(caught.value)[0].startswith("task.yaml:2:1: num_instance: unknown word")


def test_an_invalid_config_is_refused_at_the_users_own_line(work: Path) -> None:
    install(work, "batch")

    with pytest.raises(ConfigError, match=r"1 problem in job\.batch") as caught:
        Flow().read(batch(work, "nodes -1\n"))
    assert problems(caught.value)[0].startswith("job.batch:1:7: num_instances: ")


def test_what_a_provider_cannot_do_stands_at_the_users_own_line(work: Path) -> None:
    install(work, "batch")
    flow = Flow()
    (task,) = flow.read(batch(work, "nodes 1\n"))
    task = attrs.evolve(task, config=attrs.evolve(task.config, region="moon"), positions={"region": (1, 7)})

    with pytest.raises(ConfigError) as caught:
        flow.plan(task)
    assert problems(caught.value)[0].startswith("job.batch:1:7: region: ")


def test_notes_of_the_frontend_are_warnings_at_their_lines(work: Path) -> None:
    install(work, "batch", notes='(Problem("num_instances", "ODD", "is odd", severity="warning"),)')
    flow = Flow()

    plan = flow.plan(flow.read(batch(work, "nodes 1\n"))[0])

    assert plan.warnings[0] == Problem("num_instances", "ODD", "is odd", "", "warning", "job.batch", 1, 7)


def test_a_note_that_refuses_is_an_error(work: Path) -> None:
    install(work, "batch", notes='(Problem("", "REFUSED", "--cluster is not known here", line=1),)')

    with pytest.raises(ConfigError) as caught:
        Flow().read(batch(work))
    assert problems(caught.value) == ["job.batch:1: --cluster is not known here"]


def test_files_and_each_ranks_variables_reach_the_task(work: Path) -> None:
    install(work, "batch")
    flow = Flow()
    (task,) = flow.read(batch(work), ["one", "two words"])

    done = flow.run(task, stream=False, provider="local")

    assert done.status == "succeeded"
    said = sorted(bytes(chunk.data) for chunk in done.logs(streams=["stdout"]))
    assert said == [b"rank 0 of 2 one two words\n", b"rank 1 of 2 one two words\n"]


def test_a_retry_has_the_files_and_the_variables_too(work: Path) -> None:
    install(work, "batch")
    flow = Flow()
    first = flow.run(flow.read(batch(work), ["one"])[0], stream=False, provider="local")
    (work / "job.batch").unlink()

    again = Flow().retry(first.id)

    assert again.wait(timeout=30) == 0
    said = sorted(bytes(chunk.data) for chunk in again.logs(streams=["stdout"]))
    assert said == [b"rank 0 of 2 one\n", b"rank 1 of 2 one\n"]


def test_fields_are_laid_over_what_was_read(work: Path) -> None:
    install(work, "batch")
    flow = Flow()
    (task,) = flow.read(batch(work))

    done = flow.run(task, stream=False, provider="local", num_instances=1)

    assert b"".join(chunk.data for chunk in done.logs(streams=["stdout"])) == b"rank 0 of 1 \n"
    assert isinstance(task, FrontendTask)


def test_a_missing_file_is_said(work: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file nowhere.batch"):
        Flow().read("nowhere.batch")


def test_a_refusal_holds_everywhere_but_at_home(work: Path) -> None:
    wrong = Problem("name", "NO", "not kept here")
    task = FrontendTask(TaskConfig(command="true"), notes=(wrong,), native="local")

    assert Flow().plan(task).warnings == ()
    with pytest.raises(ConfigError, match="1 problem"):
        Flow().plan(attrs.evolve(task, native="elsewhere"))


def test_a_remark_is_for_the_providers_own_language_too() -> None:
    remark = Problem("num_instances", "LEAST", "it gets the least of them", severity="warning")
    task = FrontendTask(TaskConfig(command="true", provider="local"), remarks=(remark,), native="local")

    assert [warning.code for warning in Flow().plan(task).warnings] == ["LEAST"]


def test_tasks_of_one_file_know_their_group_and_wait_for_each_other(work: Path) -> None:
    flow = Flow()
    say = TaskConfig(command="echo $FLOW_GROUP")
    plans = [flow.plan(FrontendTask(say)), flow.plan(FrontendTask(say, after=(0,)))]

    first, second = flow.submit_group(plans)

    assert (first.config.depends_on, second.config.depends_on) == ((), (f"any:{first.id}",))
    assert [task.id for task in flow.tasks(label=f"group={first.id}")] == [second.id]
    assert (first.wait(), second.wait()) == (0, 0)
    assert b"".join(chunk.data for chunk in second.logs()).decode().strip() == first.id
