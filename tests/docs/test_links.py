"""Every link within the documentation leads somewhere, and every page can be reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import REFERENCE, ROOT, pages, title

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ALL = [*pages(), *sorted(REFERENCE.rglob("*.md")), *sorted((ROOT / "docs" / "behaviour").glob("*.md"))]


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return _CODE.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    """Return what a page links to within the project."""
    return [link for link in _LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(prose(page))}


@pytest.mark.parametrize("page", ALL, ids=title)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{title(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{title(page)} links to {link}"


def test_every_page_of_the_documentation_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        todo += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if not link.startswith("#")]
    missing = [title(page) for page in ALL if ROOT / "docs" in page.parents and page not in reached]
    assert missing == []


@pytest.mark.parametrize("page", [page for page in pages() if page.parent.name == "decisions"], ids=title)
def test_a_decision_has_context_options_decision_and_consequence(page: Path) -> None:
    headings = _HEADING.findall(page.read_text("utf-8"))
    assert page.name == "index.md" or headings[1:] == ["Context", "Options", "Decision", "Consequence"]
