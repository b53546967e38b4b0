"""Images on a cluster. Neither apptainer nor pyxis can be had here: stand-ins on PATH take exactly their options."""

from __future__ import annotations

from pathlib import Path

import pytest

from flow_core import ConfigError, Flow, Mount
from flow_slurm._containers import Engine, choose

from .test_slurm_tasks import output

# Runs the command on this machine, with the variables that apptainer would hand to it, and notes how it was called.
_APPTAINER = """\
#!/bin/sh
printf '%s\\n' "$@" >{calls}
while [ $# -gt 0 ]; do
    case $1 in
    --silent|exec|--cleanenv|--no-home|--nv) shift ;;
    --pwd) cd "$2" || exit 255; shift 2 ;;
    --bind) shift 2 ;;
    -*) echo "apptainer: unknown flag $1" >&2; exit 255 ;;
    *) break ;;
    esac
done
shift
for name in $(env | sed -n 's/^APPTAINERENV_\\([A-Z_]*\\)=.*/\\1/p'); do eval "export $name=\\$APPTAINERENV_$name"; done
IN_IMAGE=yes exec "$@"
"""
# The real srun but for the options that pyxis adds to it.
_SRUN = """\
#!/bin/sh
[ "$1" != --help ] || {{ /usr/bin/srun --help; echo "      --container-image=[USER@][REGISTRY#]IMAGE[:TAG]|PATH"; exit; }}
n=$#
while [ $n -gt 0 ]; do
    case $1 in
    --container-*) printf '%s\\n' "$1" >>{calls}; export IN_IMAGE=yes ;;
    *) set -- "$@" "$1" ;;
    esac
    shift; n=$((n - 1))
done
exec /usr/bin/srun "$@"
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


def _stand_in(monkeypatch: pytest.MonkeyPatch, calls: Path, name: str, text: str) -> None:
    folder = calls.with_name("programs")
    folder.mkdir()
    (folder / name).write_text(text.format(calls=calls))
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/local/bin:/usr/bin:/bin")


@pytest.fixture
def apptainer(monkeypatch: pytest.MonkeyPatch, calls: Path) -> None:
    _stand_in(monkeypatch, calls, "apptainer", _APPTAINER)


@pytest.fixture
def pyxis(monkeypatch: pytest.MonkeyPatch, calls: Path) -> None:
    _stand_in(monkeypatch, calls, "srun", _SRUN)


def _data(folder: Path) -> Mount:
    folder.mkdir()
    (folder / "word").write_text("there\n")
    return Mount(str(folder), str(folder), read_only=True)


def test_apptainer_runs_the_command_in_the_image_with_its_mounts(
    flow: Flow, apptainer: None, calls: Path, tmp_path: Path
) -> None:
    mount = _data(tmp_path / "data")
    command = f"echo $IN_IMAGE $X $FLOW_NODE_RANK; cat {mount.source}/word; exit 3"
    task = flow.run(command, image="python:3.12-slim", env={"X": "y"}, mounts=[mount], stream=False)
    assert (task.exit_code, output(task)) == (3, "yes y 0\nthere\n")
    words = calls.read_text().splitlines()
    assert words[:5] == ["--silent", "exec", "--cleanenv", "--no-home", "--pwd"]
    assert f"{mount.source}:{mount.target}:ro" in words
    assert words[words.index("docker://python:3.12-slim") :] == [
        *("docker://python:3.12-slim", "/bin/sh", "-c"),
        command,
    ]


def test_pyxis_runs_the_command_as_a_step_in_the_image(flow: Flow, pyxis: None, calls: Path, tmp_path: Path) -> None:
    mount = _data(tmp_path / "data")
    command = "echo $IN_IMAGE $X $FLOW_NODE_RANK; echo bad >&2; exit 3"
    task = flow.run(command, image="nvcr.io#nvidia/pytorch", env={"X": "y"}, mounts=[mount], stream=False)
    assert (task.exit_code, output(task)) == (3, "yes y 0\n")
    image, mounts, at = calls.read_text().splitlines()
    assert image == "--container-image=nvcr.io#nvidia/pytorch"
    assert mounts.endswith(f",{mount.source}:{mount.target}:ro")
    assert at == f"--container-workdir={Path.cwd()}"


def test_each_node_of_a_task_has_its_own_step_in_the_image(flow: Flow, pyxis: None, calls: Path) -> None:
    task = flow.run("echo $SLURMD_NODENAME $FLOW_NODE_RANK", image="alpine", num_instances=2, stream=False)
    assert task.exit_code == 0
    assert sorted(output(task).splitlines()) == ["node1 0", "node2 1"]


def test_a_task_in_an_image_is_cancelled(flow: Flow, pyxis: None) -> None:
    task = flow.submit("echo up; sleep 60", image="alpine")
    for chunk in task.logs(follow=True):
        assert chunk.data == b"up\n"
        task.cancel(1)
        break
    task.wait(timeout=60)
    assert task.status == "cancelled"


def test_a_mount_that_pyxis_cannot_make_is_refused(flow: Flow, pyxis: None, tmp_path: Path) -> None:
    (tmp_path / "a,b").mkdir()
    with pytest.raises(ConfigError, match="problem") as found:
        flow.plan(flow.config("true", image="alpine", mounts=[Mount(str(tmp_path / "a,b"), "/data")]))
    assert "a comma" in found.value.problems[0].message


def test_without_pyxis_and_apptainer_an_image_is_refused_with_what_to_install(flow: Flow) -> None:
    with pytest.raises(ConfigError, match="problem") as found:
        flow.plan(flow.config("true", image="alpine"))
    (problem,) = found.value.problems
    assert (problem.path, problem.code) == ("image", "NO_ENGINE")
    assert "pyxis or apptainer" in problem.hint


@pytest.mark.parametrize(
    ("said", "wanted", "program"),
    [
        ("pyxis\n/usr/bin/apptainer\n/bin\n/home/a", None, ""),
        ("\n/usr/bin/apptainer\n/bin\n/home/a", None, "/usr/bin/apptainer"),
        ("pyxis\n/usr/bin/apptainer\n/bin\n/home/a", "apptainer", "/usr/bin/apptainer"),
        ("\n\n/bin\n/home/a", "apptainer", "apptainer"),
        ("\n\n/bin\n/home/a", "/opt/apptainer", "/opt/apptainer"),
        ("\n\n/bin\n/home/a", "pyxis", ""),
    ],
)
def test_the_profile_s_word_goes_before_what_is_found(said: str, wanted: str | None, program: str) -> None:
    env = {"PATH": "/bin", "HOME": "/home/a"} if program else {}
    assert choose(said, wanted) == Engine(program, env)
