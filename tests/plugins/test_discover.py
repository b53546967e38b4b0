"""Finding plugins by metadata: nothing is imported, and every fault stays with its own name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flow_core.errors import NotFoundError, PluginError
from flow_core.plugins import Catalog
from flow_core.plugins._metadata import accepts


def install(site: Path, distribution: str, entry_points: str, module: str = "", requires: str = "") -> None:
    """Put a distribution into ``site`` as a wheel would: metadata and one module."""
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nSummary: sums up {distribution}\n{needs}"
    )
    (info / "entry_points.txt").write_text(entry_points)
    (site / f"{distribution.replace('-', '_')}.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def provider(name: str, distribution: str) -> str:
    return f"[flow.providers]\n{name} = {distribution.replace('-', '_')}:Provider\n"


def test_listing_imports_nothing(site: Path) -> None:
    install(site, "acme-one", provider("acme", "acme-one"), "raise RuntimeError('imported')")

    plugin = Catalog({}).plugin("provider", "acme")

    assert (plugin.distribution, plugin.version, plugin.summary) == ("acme-one", "1.0", "sums up acme-one")
    assert "acme_one" not in sys.modules


def test_a_broken_import_names_the_distribution_and_hides_no_other(site: Path) -> None:
    install(site, "acme-two", provider("two", "acme-two"), "raise RuntimeError('boom')")
    install(site, "acme-three", provider("three", "acme-three"), "class Provider: pass")
    catalog = Catalog({})

    with pytest.raises(PluginError, match=r"acme-two 1\.0.*RuntimeError: boom") as caught:
        catalog.plugin("provider", "two").load()
    assert caught.value.distribution == "acme-two"
    assert catalog.plugin("provider", "three").load().__name__ == "Provider"


def test_a_missing_dependency_is_told_from_a_missing_plugin(site: Path) -> None:
    install(site, "acme-four", provider("four", "acme-four"), "import a_module_that_is_not_there")
    install(site, "acme-five", "[flow.providers]\nfive = a_plugin_that_is_not_there:Provider\n")

    with pytest.raises(PluginError, match="dependency 'a_module_that_is_not_there' is not installed"):
        Catalog({}).plugin("provider", "four").load()
    with pytest.raises(PluginError, match="its module a_plugin_that_is_not_there does not exist"):
        Catalog({}).plugin("provider", "five").load()


def test_two_distributions_with_one_name_are_both_named(site: Path) -> None:
    install(site, "acme-six", provider("same", "acme-six"), "class Provider: pass")
    install(site, "acme-seven", provider("same", "acme-seven"), "class Provider: pass")

    with pytest.raises(PluginError, match=r"acme-s\w+ 1\.0.*acme-s\w+ 1\.0.*uninstall one"):
        Catalog({}).plugin("provider", "same").load()


def test_a_plugin_for_a_newer_core_is_refused_before_its_import(site: Path) -> None:
    install(site, "acme-eight", provider("eight", "acme-eight"), "raise RuntimeError('imported')", "flow-core>=999")

    with pytest.raises(PluginError, match=r"needs flow-core>=999, and .* is installed"):
        Catalog({}).plugin("provider", "eight").load()


def test_an_unknown_name_says_what_is_installed_and_what_is_near(site: Path) -> None:
    install(site, "acme-nine", provider("nebula", "acme-nine"), "class Provider: pass")

    with pytest.raises(NotFoundError, match="nebula") as caught:
        Catalog({}).plugin("provider", "nebulla")
    assert "did you mean 'nebula'?" in caught.value.hint


@pytest.mark.parametrize("environ", [{"FLOW_NO_PLUGINS": "1"}, {"FLOW_DISABLE_PLUGINS": "other, Acme_Ten"}])
def test_plugins_can_be_switched_off(site: Path, environ: dict[str, str]) -> None:
    install(site, "acme-ten", provider("ten", "acme-ten"), "class Provider: pass")

    assert "ten" not in Catalog(environ).plugins("provider")
    assert "ten" in Catalog({}).plugins("provider")


def test_an_allow_list_leaves_the_others_out(site: Path) -> None:
    install(site, "acme-eleven", provider("eleven", "acme-eleven"), "class Provider: pass")
    install(site, "other-twelve", provider("twelve", "other-twelve"), "class Provider: pass")

    found = Catalog({}, allow=["acme-*"]).plugins("provider")

    assert "eleven" in found
    assert "twelve" not in found


@pytest.mark.parametrize(
    ("requirement", "version", "fits"),
    [
        ("", "1.0", True),
        (">=1,<2", "1.0.0", True),
        (">=1,<2", "2", False),
        (">=1.2", "1.10", True),
        ("!=1.0", "1.0.0", False),
        ("~=1.2", "1.9", True),
        ("~=1.2", "2.0", False),
        (">=1,<2", "1.5.dev3", True),
    ],
)
def test_ranges_of_core_are_read_as_pip_reads_them(requirement: str, version: str, fits: bool) -> None:
    assert accepts(requirement, version) is fits
