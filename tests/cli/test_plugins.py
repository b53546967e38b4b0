"""``flow plugins``: what is installed and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Any

    from conftest import Program, Site

_GOOD = """
    from flow_core import TaskRef, hookimpl
    from flow_core.hookspecs import NodeHooks, ProvisionHooks

    class Plugin(ProvisionHooks, NodeHooks):
        def __init__(self, settings):
            raise RuntimeError("opened")

        @hookimpl
        def flow_provision_submit(self, submission): return TaskRef("1")
        @hookimpl
        def flow_provision_find(self, request_ids, since): return {}
        @hookimpl
        def flow_provision_status(self, refs): return {}
        @hookimpl
        def flow_provision_cancel(self, ref, grace_seconds): return False
        @hookimpl
        def flow_node_access(self, ref): return []
"""


def _finding(flow: Program) -> dict[str, Any]:
    (found,) = [one for one in flow("plugins", "doctor", "--json").data if "flow-theirs" in one["name"]]
    return dict(found)


def _install(site: Site, source: str, **more: Any) -> None:
    site.install(
        "flow-theirs", {"flow.providers": {"theirs": "theirs_plugin:Plugin"}}, {"theirs_plugin": source}, **more
    )


def test_the_list_says_kind_name_distribution_version_and_state(flow: Program, site: Site) -> None:
    _install(site, "raise SystemExit(9)", summary="Somewhere else.")
    lines = flow("plugins", "list").out.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "DISTRIBUTION", "VERSION", "STATE", "SUMMARY"]
    assert ["provider", "theirs", "flow-theirs", "1.2", "ok", "Somewhere", "else."] in [line.split() for line in lines]


def test_the_list_shows_a_core_that_does_not_fit(flow: Program, site: Site) -> None:
    _install(site, _GOOD, requires=("flow-core>=99",))
    (row,) = [row for row in flow("plugins", "list", "--json").data if row["name"] == "theirs"]
    assert row["problem"].startswith("needs flow-core>=99")


def test_show_says_what_a_plugin_can_do(flow: Program, site: Site) -> None:
    _install(site, _GOOD)
    (row,) = flow("plugins", "show", "theirs", "--json").data
    assert "flow_node_access" in row["hooks"]
    assert row["entry_point"] == "theirs_plugin:Plugin"
    assert "flow_node_access" in flow("plugins", "show", "flow-theirs").out


def test_a_plugin_that_is_not_there_is_not_found(flow: Program) -> None:
    assert flow("plugins", "show", "nope").status == 66


def test_a_plugin_that_is_well_is_ok_without_being_opened(flow: Program, site: Site) -> None:
    _install(site, _GOOD)
    finding = _finding(flow)
    assert (finding["status"], finding["message"].partition(",")[2]) == ("ok", " 5 hooks")
    assert flow("plugins", "doctor").status == 0


@pytest.mark.parametrize(
    ("change", "message", "mend"),
    [
        (
            ("from flow_core import", "import nowhere_at_all\n    from flow_core import"),
            "dependency 'nowhere_at_all'",
            "pip install nowhere_at_all",
        ),
        (("class Plugin", "class Other"), "theirs_plugin:Plugin does not exist", "tell the authors of flow-theirs"),
        (("flow_provision_cancel", "flow_provision_cancle"), "did you mean flow_provision_cancel?", "tell the authors"),
        (
            ("@hookimpl\n        def flow_node_access", "def flow_node_access"),
            "flow_node_access is defined but not marked with @hookimpl",
            "tell",
        ),
        (("self, refs)", "self, references)"), "references", "tell the authors of flow-theirs"),
        (("(self, ref): return []", "(self, ref=None): return []"), "flow_node_access gives ref a default", "tell"),
        (
            ("@hookimpl\n        def flow_provision_find(self, request_ids, since): return {}", ""),
            "lacks the required flow_provision_find",
            "tell",
        ),
        (
            ("from flow_core import", "import os; os._exit(3)\n    from flow_core import"),
            "ends Python while it is imported (status 3)",
            "tell",
        ),
        (
            ("from flow_core import", "import sys; sys.exit('bye')\n    from flow_core import"),
            "ends Python while it is imported",
            "tell",
        ),
    ],
)
def test_a_fault_is_named_with_the_mend(
    flow: Program, site: Site, change: tuple[str, str], message: str, mend: str
) -> None:
    assert change[0] in _GOOD
    _install(site, _GOOD.replace(*change))
    finding = _finding(flow)
    assert finding["status"] == "error"
    assert message in finding["message"]
    assert mend in finding["mend"]
    answer = flow("plugins", "doctor")
    assert answer.status == 1
    assert "provider 'theirs' (flow-theirs 1.2)" in answer.out


def test_a_plugin_that_prints_when_it_is_imported_is_understood(flow: Program, site: Site) -> None:
    _install(site, "\n    print('hello {')" + _GOOD)
    assert _finding(flow)["status"] == "ok"


def test_a_core_that_does_not_fit_is_a_fault(flow: Program, site: Site) -> None:
    _install(site, _GOOD, requires=("flow-core>=99",))
    finding = _finding(flow)
    assert finding["message"].startswith("needs flow-core>=99")
    assert finding["mend"] == "pip install --upgrade flow-core flow-theirs"


def test_two_for_one_name_are_a_clash(flow: Program, site: Site) -> None:
    _install(site, _GOOD)
    site.install("flow-zother", {"flow.providers": {"theirs": "zother_plugin:Plugin"}}, {"zother_plugin": _GOOD})
    finding = _finding(flow)
    assert "flow-zother 1.2 also provides the provider 'theirs'" in finding["message"]
    assert finding["mend"] == "uninstall one of them"


def test_a_command_named_like_a_core_one_is_a_fault(flow: Program, site: Site) -> None:
    site.install("flow-theirs", {"flow.commands": {"status": "theirs_plugin:Plugin"}}, {"theirs_plugin": "Plugin = 1"})
    assert "flow has a command 'status' of its own" in _finding(flow)["message"]


def test_a_slow_import_is_a_warning(flow: Program, site: Site) -> None:
    _install(site, "\n    import time; time.sleep(0.4)" + _GOOD)
    finding = _finding(flow)
    assert finding["status"] == "warning"
    assert "ms to import" in finding["message"]
    assert flow("plugins", "doctor").status == 0
