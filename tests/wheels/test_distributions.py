"""All distributions of this repository, from their wheels, in one fresh environment; and core without any of them."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from .conftest import EXAMPLES, PLUGINS, ROOT, wheels
from .machine import Machine

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(900)]

OURS = [ROOT, *PLUGINS]
PROJECTS = pytest.mark.parametrize("project", OURS, ids=["flow_core", *(path.name for path in PLUGINS)])


@pytest.fixture(scope="module")
def whole(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """An environment with everything of this repository."""
    machine = Machine.make(tmp_path_factory.mktemp("whole"))
    found = wheels(dist, *OURS)
    machine.pip("install", *(f"{path}[testing]" if "flow_mithril" in path else path for path in found))
    return machine


@pytest.fixture(scope="module")
def bare(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """An environment with core alone."""
    machine = Machine.make(tmp_path_factory.mktemp("bare"))
    machine.pip("install", *wheels(dist, ROOT))
    return machine


def held(project: Path) -> set[str]:
    """Return what git knows of the packages of a project, as paths in a wheel."""
    folders = ["flow_core", "flow"] if project == ROOT else ["."]
    cwd = project if project == ROOT else project / "src"
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(words, cwd=cwd, capture_output=True, check=True).stdout.decode()
    return {name for name in listed.split("\0") if name and (cwd / name).is_file()}


@PROJECTS
def test_a_wheel_holds_the_package_whole_with_its_data_types_and_licence_and_no_more(dist: Path, project: Path) -> None:
    (path,) = wheels(dist, project)
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    info = {name.partition("/")[2] for name in names if ".dist-info/" in name}

    assert {name for name in names if ".dist-info/" not in name} == held(project)
    assert f"{Path(path).name.partition('-')[0]}/py.typed" in names
    assert info - {"entry_points.txt"} == {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"}


@PROJECTS
def test_a_source_distribution_holds_what_is_built_from_and_read(dist: Path, project: Path) -> None:
    name = "flow_core" if project == ROOT else project.name
    with tarfile.open(next(dist.glob(f"{name}-*.tar.gz"))) as archive:
        names = {path.partition("/")[2] for path in archive.getnames()}

    inside = {path if project == ROOT else f"src/{path}" for path in held(project)}
    assert inside | {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO"} <= names


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_an_example_brings_its_types(dist: Path, example: Path) -> None:
    with zipfile.ZipFile(wheels(dist, example)[0]) as wheel:
        assert f"{example.name}/py.typed" in wheel.namelist()


def test_everything_that_is_needed_came_along(whole: Machine) -> None:
    done = whole("python", "-m", "pip", "check")

    assert done.returncode == 0, done.stdout


def test_the_list_shows_every_plugin(whole: Machine) -> None:
    listed = json.loads(whole("flow", "plugins", "list", "--json").stdout)["data"]

    assert sorted((p["kind"], p["name"], p["distribution"], p["problem"]) for p in listed) == [
        ("command", "local", "flow-local", ""),
        ("command", "mithril", "flow-mithril", ""),
        ("command", "slurm", "flow-slurm", ""),
        ("frontend", "sbatch", "flow-slurm", ""),
        ("provider", "local", "flow-local", ""),
        ("provider", "mithril", "flow-mithril", ""),
        ("provider", "slurm", "flow-slurm", ""),
        ("result store", "folder", "flow-core", ""),
        ("result store", "fsspec", "flow-fsspec", ""),
    ]


@pytest.mark.parametrize("words", ["--help", "--version", "plugins list", "run --help"])
def test_no_plugin_is_imported_to_tell_what_there_is(whole: Machine, words: str) -> None:
    done = whole("python", "-X", "importtime", "-m", "flow_core", *words.split())
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}

    assert done.returncode == 0, done.stderr
    assert "flow_core" in imported
    assert imported & {path.name for path in PLUGINS} == set()


def test_the_help_has_the_commands_of_all_plugins(whole: Machine) -> None:
    text = " ".join(whole("flow", "--help").stdout.split()).replace("flow- ", "flow-")

    for name in ("local", "mithril", "slurm"):
        assert f"({'flow-'}{name} 1.0.0)" in text.replace("flow- ", "flow-"), text


@pytest.mark.parametrize("words", [["doctor"], ["plugins", "doctor"]], ids=" ".join)
def test_the_doctor_finds_nothing_wrong(whole: Machine, words: list[str]) -> None:
    done = whole("flow", *words, FLOW_DEFAULT="local")

    assert done.returncode == 0, done.stdout


def test_a_task_is_run_by_the_program_that_travels(whole: Machine) -> None:
    done = whole("flow", "run", "--quiet", "--code", "snapshot", "echo out; exit 4", FLOW_DEFAULT="local")

    assert (done.returncode, done.stdout) == (4, "out\n"), done.stderr


def test_the_archive_of_the_runner_reads_a_task_on_a_python_without_flow(whole: Machine, tmp_path: Path) -> None:
    whole("flow", "run", "--quiet", "exit 5", FLOW_DEFAULT="local", FLOW_HOME=str(tmp_path))
    (task,) = (path.parent for path in tmp_path.rglob("bundle.json"))
    write = "import pathlib, sys; from flow_core import runner; pathlib.Path(sys.argv[1]).write_bytes(runner.archive())"
    whole.python("-c", write, str(tmp_path / "runner.pyz"))

    done = whole("python", "-I", "-S", str(tmp_path / "runner.pyz"), "status", str(task))

    assert json.loads(done.stdout)["attempts"][0]["exit_code"] == 5, done.stderr


def test_a_batch_script_finds_its_commands(whole: Machine, tmp_path: Path) -> None:
    script = tmp_path / "hello.sh"
    script.write_text("#!/bin/bash\n#SBATCH --ntasks=2\nsrun --label bash -c 'echo hello' | sort\n")

    done = whole("flow", "run", "--quiet", "--cpus", "1", str(script), FLOW_DEFAULT="local")

    assert done.stdout == "0: hello\n1: hello\n", done.stderr


def test_the_double_of_an_api_finds_its_description(whole: Machine) -> None:
    whole.python("-c", "from flow_mithril.testing import Double, Settings\nwith Double(Settings(boot=False)): pass")


@pytest.mark.parametrize("words", [["run", "true"], ["offers"], ["run", "task.yaml"]], ids=" ".join)
def test_core_alone_says_that_a_provider_is_to_be_installed(bare: Machine, words: list[str]) -> None:
    (bare.folder / "task.yaml").write_text("command: echo hello\n")
    done = bare("flow", *words)

    assert done.returncode == 64
    assert done.stderr == (
        "  hint: install the package of one with pip\nflow: error[CONFIG]: no provider is installed\n"
    )


def test_the_doctor_says_what_core_alone_lacks(bare: Machine) -> None:
    done = bare("flow", "doctor")

    assert done.returncode == 1
    assert "no provider is installed, so nothing can run" in done.stdout


def test_core_alone_lists_no_provider(bare: Machine) -> None:
    listed = json.loads(bare("flow", "plugins", "list", "--json").stdout)["data"]

    assert [(plugin["kind"], plugin["name"]) for plugin in listed] == [("result store", "folder")]
