"""The one place that reads installed distributions' metadata."""

from __future__ import annotations

import re

import importlib_metadata as metadata

_PLAIN = re.compile(r"(>=|<=|==|!=|<|>)\s*(\d+(?:\.\d+)*)")


def entry_points(group: str) -> list[metadata.EntryPoint]:
    """Return the entry points of ``group`` of every installed distribution; imports nothing of theirs."""
    return sorted(metadata.entry_points(group=group), key=lambda e: (e.name, e.value))


def core_version() -> str:
    """Return the installed version of flow-core."""
    found = metadata.distribution("flow-core")
    line = re.search(r"^Version: (\S+)", found.read_text("METADATA") or "", re.MULTILINE)  # email.parser costs 6 ms
    return line[1] if line else found.version


def core_requirement(entry: metadata.EntryPoint) -> str:
    """Return the range of flow-core that the entry point's distribution asks for (``>=1,<2``), or an empty text."""
    requires = (entry.dist.requires if entry.dist else None) or ()
    for line in requires:
        name, rest = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)", line).groups()  # type: ignore[union-attr]
        if re.sub(r"[-_.]+", "-", name).lower() == "flow-core":
            return str(rest).replace(" ", "")
    return ""


def accepts(requirement: str, version: str) -> bool:
    """Say whether ``version`` is in the range ``requirement``; an empty range takes any version."""
    clauses = [clause for clause in requirement.split(",") if clause]
    found = [_PLAIN.fullmatch(clause) for clause in clauses]
    if all(found) and re.fullmatch(r"\d+(\.\d+)*", version):
        return all(_holds(version, match[1], match[2]) for match in found if match)
    from packaging.specifiers import SpecifierSet  # 40 ms to import; only for ranges that are not plain comparisons

    return SpecifierSet(requirement).contains(version, prereleases=True)


def _holds(version: str, operator: str, bound: str) -> bool:
    a, b = (tuple(int(part) for part in text.split(".")) for text in (version, bound))
    width = max(len(a), len(b))
    a, b = a + (0,) * (width - len(a)), b + (0,) * (width - len(b))
    return {">=": a >= b, "<=": a <= b, "==": a == b, "!=": a != b, "<": a < b, ">": a > b}[operator]
