"""``flow run``: what is the task's and what is Flow's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Program, Site


def test_stdout_is_the_tasks_byte_for_byte_and_stderr_has_flows_lines_too(flow: Program) -> None:
    (flow.folder / "bytes").write_bytes(bytes(range(256)) * 300)
    process = flow.start("run", "--name", "train", "cat bytes; echo told >&2")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == bytes(range(256)) * 300
    first, *rest = err.decode().splitlines()
    assert first.startswith("flow: t")
    assert first.endswith('"train" on local')
    assert rest == ["told"]


def test_it_exits_with_the_tasks_code_and_says_how_it_ended(flow: Program, tmp_path: Path) -> None:
    answer = flow("run", "exit 7", FLOW_EXIT_FILE=str(tmp_path / "exit"))
    assert answer.status == 7
    assert answer.last_line.endswith("failed: exit code 7")
    assert "flow: error[" not in answer.err
    assert (tmp_path / "exit").read_text() == "task 7\n"


def test_quiet_leaves_out_flows_own_lines(flow: Program) -> None:
    answer = flow("run", "-q", "echo told >&2; exit 3")
    assert (answer.status, answer.err) == (3, "told\n")


def test_several_words_are_a_program_and_its_arguments(flow: Program) -> None:
    answer = flow("run", "-q", "printf", "%s|", "--lr", "1", "$HOME", "a b")
    assert answer.out == "--lr|1|$HOME|a b|"


def test_one_word_is_text_for_a_shell(flow: Program) -> None:
    assert flow("run", "-q", "-e", "A=x y", 'printf "$A" | tr x z').out == "z y"


def test_dashes_end_the_options(flow: Program) -> None:
    assert flow("run", "-q", "--", "printf", "%s", "-d").out == "-d"


def test_a_task_file_is_read_and_options_before_and_behind_it_are_laid_over_it(flow: Program) -> None:
    (flow.folder / "task.yaml").write_text("command: echo $A $B $C\nenv: {A: file, B: file, C: file}\n")
    assert flow("run", "-q", "-e", "B=before", "task.yaml", "-e", "C=behind").out == "file before behind\n"


def test_a_task_file_takes_no_arguments(flow: Program) -> None:
    (flow.folder / "task.yaml").write_text("command: echo\n")
    answer = flow("run", "task.yaml", "more")
    assert answer.status == 2
    assert "takes no arguments: more" in answer.last_line


def test_a_task_file_that_is_not_there_is_no_command(flow: Program) -> None:
    answer = flow("run", "-q", "missing.yaml")
    assert answer.status == 64
    assert answer.err.splitlines()[-1] == "flow: error[CONFIG]: there is no task file missing.yaml"


def test_detached_prints_only_the_id_and_the_task_goes_on(flow: Program) -> None:
    answer = flow("run", "-d", "exit 5")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == answer.out.strip() + "\n"
    assert flow("wait", answer.out.strip()).status == 5


def test_an_own_secret_is_masked_unless_that_is_not_wanted(flow: Program) -> None:
    masked = flow("run", "-q", "--secret", "TOKEN", 'echo "<$TOKEN>"', TOKEN="s3cret-value")
    shown = flow("run", "-q", "--no-redact", "--secret", "TOKEN", 'echo "<$TOKEN>"', TOKEN="s3cret-value")
    assert (masked.out, shown.out) == ("<***>\n", "<s3cret-value>\n")


def test_json_leaves_stdout_to_one_envelope(flow: Program) -> None:
    answer = flow("run", "--json", "echo out; exit 4")
    assert answer.status == 4
    assert answer.envelope["schema"] == "flow.run/1"
    assert (answer.data["status"], answer.data["exit_code"]) == ("failed", 4)
    assert "out\n" in answer.err


def test_detached_json_holds_the_id(flow: Program) -> None:
    answer = flow("run", "-d", "--json", "true")
    assert flow("wait", answer.data["id"]).status == 0


def test_a_task_that_a_time_limit_ended_gives_124(flow: Program) -> None:
    answer = flow("run", "--time-limit", "0.3", "--grace", "0.1", "sleep 30")
    assert answer.status == 124
    assert "timed out" in answer.last_line


def test_a_missing_secret_is_refused_before_anything_happens(flow: Program) -> None:
    answer = flow("run", "--secret", "NOWHERE", "true")
    assert (answer.status, flow("status", "--json").data) == (64, [])


def test_a_provider_that_is_not_there_is_named_with_those_that_are(flow: Program) -> None:
    answer = flow("run", "--provider", "loacl", "true")
    assert answer.status == 64
    assert "local" in answer.err


def test_a_dry_run_says_what_would_run_and_writes_nothing(flow: Program, tmp_path: Path) -> None:
    answer = flow("run", "--dry-run", "--name", "train", "--time-limit", "1h", "python", "train.py", "--lr", "1")
    assert answer.status == 0
    facts = dict(line.split("  ", 1) for line in answer.out.splitlines())
    assert facts["task"].strip() == "train"
    assert facts["command"].strip() == "python train.py --lr 1"
    assert facts["on"].strip() == "local"
    assert facts["time limit"].strip() == "1h"
    assert not (tmp_path / "home" / "state").exists()


def test_a_dry_run_counts_the_code_of_a_snapshot(flow: Program) -> None:
    (flow.folder / "big.bin").write_bytes(b"x" * 5000)
    (flow.folder / "small.py").write_bytes(b"x")
    (flow.folder / ".gitignore").write_bytes(b"*.log\n")
    (flow.folder / "noise.log").write_bytes(b"x" * 9000)
    code = flow("run", "--dry-run", "--json", "--code", "snapshot", "true").data["code"]
    assert (code["mode"], code["files"], code["bytes"]) == ("snapshot", 3, 5007)
    assert code["biggest"][0] == {"path": "big.bin", "bytes": 5000}


def test_a_verbose_dry_run_shows_the_config(flow: Program) -> None:
    answer = flow("run", "--dry-run", "-v", "-e", "A=1", "true")
    assert "\nconfig\n  command: 'true'\n  env:\n    A: '1'\n" in answer.out


def test_a_dry_run_shows_what_the_provider_would_send_with_secrets_masked(flow: Program, site: Site) -> None:
    pytest.importorskip("flow_local")
    site.install(
        "flow-preview",
        {"flow.providers": {"preview": "preview_plugin:Preview"}},
        {
            "preview_plugin": """
                from flow_local import LocalProvider
                from flow_core import hookimpl

                class Preview(LocalProvider):
                    @hookimpl
                    def flow_provision_preview(self, submission):
                        return {"order": f"{submission.config.command} {dict(submission.bundle.secrets.values)}"}
            """
        },
    )
    answer = flow("run", "--dry-run", "-v", "--provider", "preview", "--secret", "T", "echo", "hi", T="hidden-value")
    assert answer.status == 0, answer.err
    assert "\norder\n  ('echo', 'hi') {'T': '***'}\n" in answer.out
    assert "hidden-value" not in answer.out


def test_a_reader_that_goes_away_leaves_the_task_running(flow: Program) -> None:
    process = flow.start("run", "--name", "talker", "while echo word; do sleep 0.02; done")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert b"nobody reads any more" in process.stderr.read()
    assert process.wait(30) == 141
    assert flow("status", "talker", "--json").data[0]["status"] == "running"


def test_a_warning_of_the_check_goes_to_stderr(flow: Program, site: Site) -> None:
    site.install(
        "flow-warns",
        {"flow.providers": {"warns": "warns_plugin:Warns"}},
        {
            "warns_plugin": """
                from flow_local import LocalProvider
                from flow_core import Problem, hookimpl

                class Warns(LocalProvider):
                    @hookimpl
                    def flow_provision_check(self, config):
                        return [Problem("priority", "IGNORED", "is ignored here", severity="warning")]
            """
        },
    )
    answer = flow("run", "--provider", "warns", "--priority", "3", "true")
    assert (answer.status, answer.err.splitlines()[0]) == (0, "flow: warning: --priority: is ignored here")


def test_the_task_sees_no_stdin_of_ours(flow: Program) -> None:
    assert flow("run", "-q", "cat; echo end", text="typed\n").out == "end\n"


def test_options_of_the_help_are_those_of_the_fields(flow: Program) -> None:
    from flow_core.spec import flags

    text = flow("run", "--help").out
    assert [flag.name for flag in flags() if flag.name not in text] == []


def test_two_at_once_keep_their_outputs_apart(flow: Program) -> None:
    started = [flow.start("run", "-q", f"for i in 1 2 3; do echo {word}; sleep 0.05; done") for word in ("a", "b")]
    outs = [process.communicate(timeout=30)[0] for process in started]
    assert outs == [b"a\na\na\n", b"b\nb\nb\n"]
    assert [process.returncode for process in started] == [0, 0]


def test_an_answer_is_one_line_of_json(flow: Program) -> None:
    out = flow("run", "-d", "--json", "true").out
    assert out.count("\n") == 1
    assert json.loads(out)["error"] is None


def test_a_secret_that_is_too_short_to_be_masked_is_said(flow: Program) -> None:
    answer = flow("run", "--secret", "PIN", "true", PIN="1234")
    assert "flow: warning: too short to be masked in the output: PIN" in answer.err.splitlines()


def test_a_provider_that_does_not_retry_is_said(flow: Program, site: Site) -> None:
    source = """
        from flow_local import LocalProvider
        from flow_core import ProviderFacts, hookimpl

        class Plain(LocalProvider):
            @hookimpl
            def flow_provider_facts(self):
                return ProviderFacts(shares_client_files=True, prompt=True)
    """
    site.install("flow-plain", {"flow.providers": {"plain": "plain_plugin:Plain"}}, {"plain_plugin": source})
    answer = flow("run", "-d", "--provider", "plain", "--retries", "1", "true")
    again = f"if it fails, run it again with `flow retry {answer.out.strip()}`"
    assert answer.err == f"flow: plain does not retry: {again}\n"
