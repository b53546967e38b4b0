"""``flow doctor``."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Answer, Program, Site


def _finding(answer: Answer, name: str) -> dict[str, Any]:
    (found,) = [one for one in answer.data if one["name"] == name]
    return dict(found)


@pytest.fixture
def program(tmp_path: Path, environ: dict[str, str]) -> Path:
    """A folder that is first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    environ["PATH"] = f"{folder}{os.pathsep}{environ['PATH']}"
    return folder


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_where_all_is_well_nothing_is_an_error(flow: Program) -> None:
    answer = flow("doctor", "--json")
    assert [one for one in answer.data if one["status"] == "error"] == []
    assert answer.status == 0
    names = {one["name"] for one in answer.data}
    assert {
        "python",
        "import flow",
        "program flow",
        "settings",
        "state folder",
        "journal",
        "provider",
        "runner",
    } <= names


def test_the_doctor_leaves_no_state_behind(flow: Program, tmp_path: Path) -> None:
    flow("doctor")
    assert not (tmp_path / "home").exists()


def test_people_get_a_line_for_each_finding(flow: Program) -> None:
    out = flow("doctor").out
    assert any(line.startswith("ok       python: flow-core ") for line in out.splitlines())


def test_the_runner_really_runs_a_task(flow: Program) -> None:
    assert _finding(flow("doctor", "--json"), "runner")["message"].startswith("ran a task in ")


def test_another_program_of_the_name_is_found(flow: Program, program: Path) -> None:
    _script(program / "flow", "#!/bin/sh\necho not ours\n")
    finding = _finding(flow("doctor", "--json"), "program flow")
    assert finding["message"] == f"{program / 'flow'} on PATH is not ours"
    assert "-m flow_core" in finding["mend"]


def test_a_program_of_another_python_is_found(flow: Program, program: Path) -> None:
    _script(program / "flow", "#!/opt/other/bin/python\nfrom flow_core.__main__ import main\nmain()\n")
    assert "belongs to another Python" in _finding(flow("doctor", "--json"), "program flow")["message"]


def test_another_module_of_the_name_is_found_with_its_distribution(flow: Program, site: Site) -> None:
    site.install("dataflow-thing", {}, {"flow": "x = 1"})
    (site.folder / "dataflow_thing-1.2.dist-info" / "top_level.txt").write_text("flow\n")
    finding = _finding(flow("doctor", "--json"), "import flow")
    assert finding["status"] == "warning"
    assert "(of dataflow-thing)" in finding["message"]
    assert "import flow_core as flow" in finding["mend"]


def test_a_damaged_journal_is_told_and_set_aside(flow: Program, tmp_path: Path) -> None:
    flow("run", "-q", "true")
    journal = tmp_path / "home" / "state" / "journal.db"
    for neighbour in journal.parent.glob("journal.db-*"):
        neighbour.unlink()
    journal.write_bytes(b"this is not a journal" * 100)
    answer = flow("doctor", "--json")
    finding = _finding(answer, "journal")
    assert (answer.status, finding["status"]) == (1, "error")
    assert "journal.db.corrupt-" in finding["mend"]


def test_settings_that_cannot_be_read_are_an_error_and_the_rest_is_still_looked_at(
    flow: Program, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.yaml").write_text("profiles: [1]\n")
    answer = flow("doctor", "--json")
    assert _finding(answer, "settings")["status"] == "error"
    assert _finding(answer, "runner")["status"] == "ok"
    assert answer.status == 1


def test_a_state_folder_that_others_can_read_is_a_warning(flow: Program, tmp_path: Path) -> None:
    state = tmp_path / "home" / "state"
    state.mkdir(parents=True)
    state.chmod(0o755)
    finding = _finding(flow("doctor", "--json"), "state folder")
    assert (finding["status"], finding["mend"]) == ("warning", f"chmod 700 {state}")


def test_a_broken_plugin_is_named(flow: Program, site: Site) -> None:
    site.install(
        "flow-broken", {"flow.frontends": {"x": "broken_plugin:X"}}, {"broken_plugin": "import nowhere_at_all"}
    )
    finding = _finding(flow("doctor", "--json"), "frontend 'x' (flow-broken 1.2)")
    assert "nowhere_at_all" in finding["message"]


def test_a_host_plugins_findings_are_among_them(flow: Program, site: Site) -> None:
    source = """
        from flow_core import DoctorCheck, hookimpl

        class Host:
            @hookimpl
            def flow_doctor_checks(self):
                return [DoctorCheck("vault", "error", "is sealed", "unseal it")]
    """
    site.install("flow-vault", {"flow.plugins": {"vault": "vault_plugin:Host"}}, {"vault_plugin": source})
    answer = flow("doctor")
    assert answer.status == 1
    assert "error    vault: is sealed\n         -> unseal it\n" in answer.out


def test_without_any_provider_the_doctor_says_so(flow: Program) -> None:
    finding = _finding(flow("doctor", "--json", FLOW_NO_PLUGINS="1"), "provider")
    assert "no provider is installed" in finding["message"]
