"""Patterns of real scripts: what sbatch on a cluster and `flow run` elsewhere make of them is the same to see."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import Cluster

_NUMBER = re.compile(r"(?<=slurm-)\d+|\d{2,}")

# name -> (the lines behind #!/bin/bash, arguments). Each says what a user would look at.
PATTERNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "hello": ("#SBATCH -J hello\n#SBATCH -o %x.out -t 5 -n1\necho hello from $SLURM_JOB_NAME; echo err >&2", ()),
    "arguments": ('#SBATCH -J args\necho "$# $1 $2"; echo ${3:-none}', ("a b", "c")),
    "streams": ("#SBATCH -o out.txt -e err.txt\necho out; echo err >&2", ()),
    "exit": ("#SBATCH -t 1\necho before; exit 7", ()),
    "set_e": ("#SBATCH -t 1\nset -e\n#SBATCH --nonsense\nfalse\necho never", ()),
    "off": ("##SBATCH -J off\n# SBATCH -J off\n#SBATCH -J on # why\necho $SLURM_JOB_NAME", ()),
    "hash": ("#SBATCH -J a#b --comment=x\necho $SLURM_JOB_NAME", ()),
    "not_expanded": ("#SBATCH -J $HOME\necho $SLURM_JOB_NAME", ()),
    "defaults": ("#SBATCH -n1\necho ${X:-unset} ${SLURM_ARRAY_TASK_ID:-no} $SLURM_NTASKS $SLURM_NNODES $SLURM_PROCID", ()),
    "threads": ("#SBATCH -c 2\nexport OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK\necho $OMP_NUM_THREADS $SLURM_CPUS_ON_NODE", ()),
    "step": ("#SBATCH -n 2\nsrun -l bash -c 'echo $SLURM_PROCID of $SLURM_NTASKS, $SLURM_LOCALID' | sort", ()),
    "nodes": (
        "#SBATCH -N 2 --ntasks-per-node=1\nscontrol show hostnames $SLURM_JOB_NODELIST | wc -l\n"
        "srun bash -c 'echo $SLURM_PROCID $SLURM_NODEID $SLURM_NNODES' | sort",
        (),
    ),
    "first_host": (
        "#SBATCH -N 2\nhead=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)\n"
        "srun -N1 -n1 -w $head bash -c 'echo $SLURM_STEP_NUM_NODES $SLURM_NODEID'",
        (),
    ),
    "farm": (
        "#SBATCH -n 2\nfor i in 1 2 3 4; do srun -N1 -n1 --exact bash -c \"echo done $i > farm.$i\" 2>/dev/null & done\nwait\n"
        "cat farm.*",
        (),
    ),
    "step_fails": ("#SBATCH -n 2\nsrun -n2 bash -c 'exit $((SLURM_PROCID * 3))' 2>/dev/null\necho rc $?", ()),
    "kill_others": (
        "#SBATCH -n 2\nsrun -K -n2 bash -c 'if [ $SLURM_PROCID = 0 ]; then exit 3; fi; exec sleep 30' 2>/dev/null\n"
        "[ $? -ne 0 ] && echo ended",
        (),
    ),
    "stdin": ("#SBATCH -n 2\necho in | srun -n2 cat; cat; echo end", ()),
    "input": ("#SBATCH -i data.txt\ncat", ()),
    "step_files": ("#SBATCH -n 2\nsrun -o part-%t.txt bash -c 'echo $SLURM_PROCID'; cat part-0.txt part-1.txt", ()),
    "too_many": ("#SBATCH -n 1\nsrun -n 9 true 2>/dev/null; echo rc $?", ()),
    "background": ("#SBATCH -n 1\ntrap 'echo caught; exit 3' USR1\nscancel -b -s USR1 $SLURM_JOB_ID\nsleep 10 & wait", ()),
    "trap_exit": ("#SBATCH -n 1\ntrap 'echo tidy' EXIT\necho work", ()),
    "python": ("#SBATCH -J py\necho '#SBATCH inside' | sed s/inside/in/; python3 -c 'import os; print(os.environ[\"SLURM_JOB_NAME\"])'", ()),
    "heredoc": ("#SBATCH -n 1\ncat <<EOF\n#SBATCH -J not\nname ${SLURM_JOB_NAME}\nEOF", ()),
    "chdir": ("#SBATCH -D sub -o here.out\npwd | sed 's,.*/,,'", ()),
    "quotes": ("#SBATCH --job-name='a b' -o 'file %x.out'\necho $SLURM_JOB_NAME", ()),
    "own_file": ("#SBATCH -J own\nbasename $0; echo ${#SLURM_JOB_ID} | grep -c .", ()),
}  # fmt: skip


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for name in ("real", "flow"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "data.txt").write_text("data\n")
    return tmp_path


def _seen(folder: Path) -> dict[str, str]:
    """The files that a run has left, with what is in them; numbers and their order in names do not count."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".sh":
            found[_NUMBER.sub("N", str(path.relative_to(folder)))] = _NUMBER.sub("N", path.read_text())
    return found


def _flow(folder: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLOW_", "SLURM", "SBATCH_"))}
    environ = {**kept, "FLOW_HOME": str(home), "FLOW_DEFAULT": "local"}
    argv = [sys.executable, "-m", "flow_core", *words]
    return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_script_leaves_the_same_here_and_on_a_cluster(name: str, cluster: Cluster, work: Path) -> None:
    body, arguments = PATTERNS[name]
    for folder in ("real", "flow"):
        (work / folder / "job.sh").write_text(f"#!/bin/bash\n{body}\n")
    submitted = subprocess.run(
        ["sbatch", "--parsable", "job.sh", *arguments], cwd=work / "real", capture_output=True, text=True, check=True
    )
    job = submitted.stdout.strip()

    ours = _flow(work / "flow", work / "home", "run", "--quiet", "--cpus", "1", "job.sh", *arguments)

    cluster.until(lambda: cluster.job(job)["JobState"] in ("COMPLETED", "FAILED", "CANCELLED"), "it does not end")
    theirs = int(cluster.job(job)["ExitCode"].partition(":")[0])
    expected = _seen(work / "real")
    if name == "threads":  # a flag of ours has lowered the claim
        expected = {path: text.replace("2 2", "2 1") for path, text in expected.items()}
    assert (_seen(work / "flow"), ours.returncode) == (expected, theirs), ours.stderr


def test_the_log_is_flows_too(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text("#!/bin/bash\n#SBATCH -o /dev/null\necho kept\n")

    assert _flow(folder, work / "home", "run", "-q", "job.sh").stdout == "kept\n"


def test_an_array_runs_each_index_and_its_throttle_holds(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH -a 1-4%1 -o %A_%a.txt\necho $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT\n"
        "mkdir lock || echo together\nsleep 0.1\nrmdir lock\n"
    )

    ids = _flow(folder, work / "home", "run", "-d", "job.sh").stdout.split()

    assert [_flow(folder, work / "home", "wait", task).returncode for task in ids] == [0, 0, 0, 0]
    assert sorted(path.read_text() for path in folder.glob("*_*.txt")) == ["1/4\n", "2/4\n", "3/4\n", "4/4\n"]
    assert len({path.name.partition("_")[0] for path in folder.glob("*_*.txt")}) == 1


def test_a_script_submits_others_and_chains_them(work: Path) -> None:
    folder, home = work / "flow", work / "home"
    (folder / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH -J parent\nid=$(sbatch --parsable --wrap 'echo first > order')\n"
        "sbatch --parsable --dependency=afterok:$id --wrap 'echo second >> order'\n"
    )

    run = _flow(folder, home, "run", "-q", "job.sh")

    assert (
        _flow(
            folder, home, "slurm", "sbatch", "-W", "-Q", "-d", f"afterok:{run.stdout.strip()}", "--wrap", "true"
        ).returncode
        == 0
    )
    assert (folder / "order").read_text() == "first\nsecond\n"


def test_a_script_begins_again_when_it_asks_to(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH --open-mode=append -o out.txt\necho ${SLURM_RESTART_COUNT:-0}\n"
        "[ -e again ] || { touch again; scontrol requeue $SLURM_JOB_ID; sleep 30; }\n"
    )

    assert _flow(folder, work / "home", "run", "-q", "job.sh").returncode == 0
    assert (folder / "out.txt").read_text() == "0\n1\n"


def test_each_beginning_is_an_attempt_with_a_time_limit_of_its_own(work: Path) -> None:
    folder, home = work / "flow", work / "home"
    (folder / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH -N2\nsleep 3\n"
        "[ ${SLURM_RESTART_COUNT:-0} = 3 ] || { scontrol requeue $SLURM_JOB_ID; sleep 30; }\n"
    )

    done = _flow(folder, home, "run", "-q", "--time-limit", "11s", "--name", "again", "job.sh")

    assert done.returncode == 0, done.stderr
    attempts = json.loads(_flow(folder, home, "status", "again", "--json").stdout)["data"][0]["attempts"]
    assert [one["status"] for one in attempts] == ["preempted", "preempted", "preempted", "succeeded"]
    assert "asked to begin again" in attempts[0]["reason"]


def test_what_must_not_begin_again_is_not_requeued(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text("#!/bin/bash\n#SBATCH --no-requeue\nscontrol requeue $SLURM_JOB_ID; echo rc $?\n")

    run = _flow(folder, work / "home", "run", "-q", "job.sh")

    assert run.stdout.endswith("rc 1\n")
    assert "Requested operation is presently disabled" in run.stdout


def test_the_warning_comes_before_the_limit(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH -t 1 --signal=B:USR1@59\ntrap 'echo warned; exit 3' USR1\nsleep 30 & wait\n"
    )

    run = _flow(folder, work / "home", "run", "-q", "job.sh")

    assert (run.returncode, run.stdout) == (3, "warned\n")


OLD_PYTHON = next((p for p in (Path.home() / ".pyenv/versions").glob("3.8.*/bin")), None)


@pytest.mark.skipif(OLD_PYTHON is None, reason="no Python 3.8 here")
def test_steps_and_requeues_need_no_newer_python(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = work / "flow"
    monkeypatch.setenv("PATH", f"{OLD_PYTHON}:{os.environ['PATH']}")
    (folder / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH -N 2\npython3 -V\nsrun -l bash -c 'echo $SLURM_NODEID' | sort\n"
        '[ -n "$SLURM_RESTART_COUNT" ] || { scontrol requeue $SLURM_JOB_ID; sleep 30; }\n'
    )

    run = _flow(folder, work / "home", "run", "-q", "job.sh")

    assert (run.returncode, run.stderr) == (0, "")
    assert re.fullmatch(r"(Python 3\.8\.\d+\n0: 0\n1: 1\n){2}", run.stdout)


def test_a_launcher_that_is_killed_takes_all_with_it(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text("#!/bin/bash\n#SBATCH -n1\nsetsid sleep 60 & echo $! > pid\nkill -9 $PPID\nwait\n")

    run = _flow(folder, work / "home", "run", "-q", "job.sh")

    assert run.returncode == 137
    assert not Path("/proc", (folder / "pid").read_text().strip()).exists()


def test_a_script_that_is_killed_ends_as_a_shell_says_it(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text("#!/bin/bash\n#SBATCH -n1\nkill -9 $$\n")

    assert _flow(folder, work / "home", "run", "-q", "job.sh").returncode == 137


def test_modules_are_missed_aloud_and_the_script_goes_on(work: Path) -> None:
    folder = work / "flow"
    (folder / "job.sh").write_text("#!/bin/bash\n#SBATCH -n1\nset -e\nmodule load cuda/12\necho on\n")

    run = _flow(folder, work / "home", "run", "-q", "job.sh")

    assert run.returncode == 0
    assert "no environment modules" in run.stdout
    assert run.stdout.endswith("on\n")


def test_slurm_itself_runs_a_script_with_its_own_steps(cluster: Cluster, work: Path) -> None:
    folder, home = work / "flow", work / "home"
    home.mkdir()
    (home / "config.yaml").write_text(f"profiles:\n  lab: {{provider: slurm, root: {cluster.shared}/flow}}\n")
    (folder / "job.sh").write_text(
        "#!/bin/bash\n#SBATCH -N 2 --ntasks-per-node=2 -p main --comment=x\ntrap 'echo warned' USR1\nwhich srun\n"
        "srun bash -c 'echo $SLURM_PROCID $SLURM_NTASKS' | sort\nscancel -b -s USR1 $SLURM_JOB_ID\nsleep 1\n"
        "echo $SLURM_JOB_ID >number\nexit 4\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLOW_", "SLURM_JOB"))}

    def flow(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flow_core", *words],
            cwd=folder, env={**kept, "FLOW_HOME": str(home)}, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    run = flow("run", "-q", "--provider", "lab", "job.sh")
    assert (run.returncode, run.stdout) == (4, "/usr/bin/srun\n0 4\n1 4\n2 4\n3 4\nwarned\n"), run.stderr
    assert len(list(folder.glob("slurm-*.out"))) == 1
    assert flow("slurm", "squeue", "-h", "-t", "all", "-o", "%i").stdout == (folder / "number").read_text()
