"""``flow slurm``: the commands that fingers and scripts know."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .cluster import Cluster


class Shell:
    """A home in which tasks run on this machine."""

    def __init__(self, folder: Path) -> None:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("FLOW_", "SLURM_J", "SBATCH_"))
        }
        self.folder, self._environ = folder, {**kept, "FLOW_HOME": str(folder / "home"), "FLOW_DEFAULT": "local"}

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "flow_core", "slurm", *words]
        return subprocess.run(
            argv,
            cwd=self.folder,
            env=self._environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def say(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


def wait_for(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_sbatch_says_the_number_and_squeue_shows_it_until_scancel_ends_it(shell: Shell) -> None:
    said = shell.say("sbatch", "-J", "Long One", "-t", "1:30:00", "--wrap", "sleep 300")
    number = said.removeprefix("Submitted batch job ").strip()

    assert number.isdigit()
    assert shell.say("squeue", "-h", "-o", "%i|%j|%P|%l|%D") == f"{number}|Long One|local|1:30:00|1\n"
    assert shell.say("squeue", "-h", "-O", "jobid:18,name:10,state:3")[:28] == f"{number:18}{'Long One':10}"
    assert shell.run("scancel", number).returncode == 0
    assert shell.say("sacct", "-n", "-X", "-P", "-j", number, "-o", "jobid,exitcode").startswith(number)
    assert shell.say("squeue", "-h", "-t", "all", "-j", number, "-o", "%T") == "CANCELLED\n"
    assert shell.say("squeue", "-h") == ""


def test_sbatch_reads_a_script_from_stdin_and_waits(shell: Shell) -> None:
    done = shell.run("sbatch", "--parsable", "-W", "-o", "out.txt", stdin="#!/bin/sh\necho $SLURM_JOB_NAME; exit 5\n")

    assert (done.returncode, (shell.folder / "out.txt").read_text()) == (5, "sbatch\n")
    assert re.fullmatch(r"\d{15,16}\n", done.stdout)


def test_the_titles_are_squeues_own(shell: Shell) -> None:
    titles = "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n"

    assert shell.say("squeue") == titles


def test_what_is_wrong_is_refused(shell: Shell) -> None:
    assert "no such file" in shell.run("sbatch", "none.sh").stderr.lower()
    assert shell.run("sbatch", "--nodess=1", "--wrap", "true").returncode != 0
    assert "there is no field foo" in shell.run("squeue", "-O", "foo").stderr
    assert "there is no field foo" in shell.run("sacct", "-o", "foo").stderr
    assert "there is no letter" in shell.run("squeue", "-S", "7").stderr
    assert shell.run("scancel").returncode == 2
    assert shell.run("scontrol", "hold", "1").returncode == 2


def test_test_only_submits_nothing(shell: Shell) -> None:
    assert "local" in shell.run("sbatch", "--test-only", "--wrap", "true").stderr
    assert shell.say("squeue", "-h", "-t", "all") == ""


def test_one_job_in_full(shell: Shell) -> None:
    number = shell.say("sbatch", "--parsable", "-W", "--wrap", "true").strip()

    shown = shell.say("scontrol", "show", "job", number, "-o")
    assert f"JobId={number} JobName=wrap " in shown
    assert "JobState=COMPLETED" in shown
    assert "ExitCode=0:0" in shown


def test_a_number_that_has_gone_is_no_fault_of_scancel_as_there(shell: Shell, cluster: Cluster) -> None:
    done = shell.run("scancel", "123")

    assert done.returncode == cluster.run("scancel", "123").returncode == 0
    assert done.stderr == "scancel: error: Invalid job id 123\n"


def test_what_waits_for_another_says_so_in_squeues_words(shell: Shell, cluster: Cluster) -> None:
    first = cluster.ask("sbatch", "--parsable", "--hold", "--wrap", "true").strip()
    theirs = cluster.ask("sbatch", "--parsable", "-d", f"afterok:{first},afterany:{first}", "--wrap", "true").strip()
    said = cluster.ask("squeue", "-h", "-j", theirs, "-o", "%T %r %E").replace(first, "N")
    other = shell.say("sbatch", "--parsable", "--wrap", "sleep 300").strip()

    job = shell.say("sbatch", "--parsable", "-d", f"afterok:{other},afterany:{other}", "--wrap", "true").strip()

    assert shell.say("squeue", "-h", "-j", job, "-o", "%T %r %E").replace(other, "N") == said
    assert f"Dependency=afterok:{other}(unfulfilled)," in shell.say("scontrol", "show", "job", job)
    shell.say("scancel", "--me")


def test_an_array_whose_tasks_wait_stands_in_one_line_and_is_never_cut(shell: Shell) -> None:
    number = shell.say("sbatch", "--parsable", "-a", "10-14%1", "--wrap", "sleep 300").strip()
    wait_for(lambda: "RUNNING" in shell.say("squeue", "-h", "-j", number, "-o", "%T"))

    assert f"{number}_[11-14] " in shell.say("squeue")
    assert shell.say("squeue", "-h", "-t", "PD", "-o", "%.10i %r") == f"{number}_[11-14] JobArrayTaskLimit\n"
    assert shell.say("squeue", "-h", "-j", f"{number}_12", "-o", "%E") == "(null)\n"
    shell.say("scancel", number)


def test_a_cancelled_array_starts_none_of_those_that_wait(shell: Shell) -> None:
    number = shell.say(
        "sbatch", "--parsable", "-a", "0-4%1", "--wrap", "touch ran.$SLURM_ARRAY_TASK_ID; sleep 300"
    ).strip()
    wait_for(lambda: (shell.folder / "ran.0").exists())

    shell.say("scancel", number)

    ended = [f"{number}_{index}|CANCELLED by {os.getuid()}\n" for index in range(5)]
    wait_for(lambda: shell.say("sacct", "-n", "-P", "-j", number, "-o", "jobid,state") == "".join(ended))
    assert sorted(path.name for path in shell.folder.glob("ran.*")) == ["ran.0"]


def test_a_state_is_todays_for_a_number_too(shell: Shell) -> None:
    number = shell.say("sbatch", "--parsable", "--wrap", "sleep 0.5").strip()

    wait_for(lambda: shell.say("squeue", "-h", "-t", "all", "-j", number, "-o", "%T") == "COMPLETED\n")


def test_sacct_shows_what_ran_since_a_time_whenever_it_was_submitted(shell: Shell) -> None:
    shell.say("sbatch", "-Q", "-W", "-J", "over", "--wrap", "true")
    number = shell.say("sbatch", "--parsable", "-J", "on", "--wrap", "sleep 300").strip()

    assert shell.say("sacct", "-n", "-P", "-S", "now", "-o", "jobname") == "on\n"
    assert shell.say("sacct", "-n", "-P", "-S", "now-1hour", "-E", "now", "-o", "jobname") == "over\non\n"
    shell.say("scancel", number)


def test_scontrol_and_sacct_know_where_the_output_goes(shell: Shell) -> None:
    (shell.folder / "job.sh").write_text("#!/bin/sh\n#SBATCH -J 'Two words' -o logs/%x-%j.txt\necho here\n")
    number = shell.say("sbatch", "--parsable", "-W", "job.sh").strip()

    shown = dict(line.strip().partition("=")[::2] for line in shell.say("scontrol", "show", "job", number).splitlines())
    assert Path(shown["StdOut"]).read_text() == "here\n"
    assert (shown["StdErr"], shown["StdIn"], shown["Command"]) == (
        shown["StdOut"],
        "/dev/null",
        f"{shell.folder}/job.sh",
    )
    assert shell.say("sacct", "-n", "-P", "-j", number, "-o", "StdOut") == shown["StdOut"] + "\n"


@pytest.mark.parametrize("command", ["squeue", "sacct", "sinfo"])
def test_a_format_that_is_somebodys_habit_works(command: str, shell: Shell, cluster: Cluster) -> None:
    cluster.submit("sleep 30")
    shell.say("sbatch", "--wrap", "true")
    formats = {
        "squeue": "|".join(f"%{letter}" for letter in "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRStTuUvVwWxXyYzZ"),
        "sacct": "",
        "sinfo": "%" + "|%".join("aAbBcCdDEfFgGhHlLmnNprRsStTuUvwXYzZeIO"),
    }
    if command == "sacct":
        words = shell.say("sacct", "--helpformat").split()
        assert "MaxRSS" in words
        ours = shell.say("sacct", "-P", "-o", ",".join(words)).splitlines()
        assert {line.count("|") for line in ours} == {len(words) - 1}
        return
    theirs, ours = (
        lines[0] for lines in (run(command, "-o", formats[command]).splitlines() for run in (cluster.ask, shell.say))
    )
    assert ours == theirs


def test_environment_variables_stand_for_options(shell: Shell) -> None:
    number = shell.say("sbatch", "--parsable", "-W", "--wrap", "true").strip()
    shell._environ.update(SQUEUE_FORMAT="%i-%T", SQUEUE_STATES="all")

    assert shell.say("squeue", "-h") == f"{number}-COMPLETED\n"


def test_what_a_task_has_not_got_is_said(shell: Shell) -> None:
    done = shell.run("squeue", "-A", "lab")

    assert (done.returncode, done.stderr) == (0, "squeue: --account means nothing here and leaves nothing out\n")
    assert "Flow has no held tasks" in shell.run("scontrol", "release", "1").stderr
    assert "flow run" in shell.run("salloc", "-n1").stderr
    assert "outside of a batch script there is no srun" in shell.run("srun", "-l", "hostname").stderr


@pytest.mark.parametrize("words", [["sbatch", "-V"], ["squeue", "--version"], ["sacct", "-V"], ["scontrol", "version"]])
def test_each_says_what_it_is(words: list[str], shell: Shell) -> None:
    assert shell.say(*words) == "slurm-flow 22.05.8\n"


def test_shims_stand_under_their_own_names(shell: Shell) -> None:
    shell.say("shim", "bin")

    done = subprocess.run(
        [shell.folder / "bin" / "sinfo", "-h", "-p", "local", "-o", "%P"],
        env=shell._environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "local*\n"


def test_json_has_the_shape_of_the_real_one(shell: Shell, cluster: Cluster) -> None:
    cluster.submit("sleep 30")
    shell.say("sbatch", "-W", "--wrap", "true")

    theirs, ours = (json.loads(text) for text in (cluster.ask("squeue", "--json"), shell.say("squeue", "--json")))

    assert set(ours) == set(theirs)
    job, real = ours["jobs"][0], theirs["jobs"][0]
    assert set(job) - set(real) == set()
    differ = {
        key: (job[key], real[key])
        for key in job
        if None not in (job[key], real[key]) and type(job[key]) is not type(real[key])
    }
    assert differ == {}


def test_a_number_that_there_is_not_is_answered_as_slurm_answers_it(shell: Shell) -> None:
    invalid = "slurm_load_jobs error: Invalid job id specified\n"
    for words in (("squeue", "-j", "123"), ("scontrol", "show", "job", "123")):
        done = shell.run(*words)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", invalid)
    done = shell.run("sacct", "-n", "-j", "123")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_provider_asks_slurms_own_commands_where_the_shims_stand_before_them(
    shell: Shell, cluster: Cluster
) -> None:
    shell.say("shim", "bin")
    (shell.folder / "home").mkdir()
    (shell.folder / "home" / "config.yaml").write_text(f"profiles:\n  slurm: {{root: {cluster.shared}/shimmed}}\n")
    path = f"{shell.folder}/bin:{os.environ['PATH']}"
    environ = {**shell._environ, **cluster.environment, "PATH": path, "FLOW_DEFAULT": "slurm"}

    done = subprocess.run(
        [shell.folder / "bin" / "sbatch", "--parsable", "--wait", "--wrap", "which squeue > where"],
        cwd=shell.folder, env=environ, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert cluster.job(done.stdout.strip())["JobState"] in ("COMPLETING", "COMPLETED")
    assert not (shell.folder / "where").read_text().startswith(str(shell.folder))
