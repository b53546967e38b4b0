"""Whose key it is, and which project it is to work in."""

from __future__ import annotations

from functools import cached_property

from flow_core.errors import ConfigError
from flow_core.types import Identity
from flow_mithril._api import Api


class Account:
    """The account of a key; ``wanted`` is the name or the id of a project."""

    def __init__(self, api: Api, wanted: str | None) -> None:
        self._api, self._wanted = api, wanted

    @cached_property
    def project(self) -> str:
        """The project's id; a name is looked up, and without one the only project is taken. Raises ConfigError."""
        if self._wanted and self._wanted.startswith("proj_"):
            return self._wanted
        found = self._api.get("projects")
        named = [row for row in found if self._wanted in (None, row["name"], row["fid"])]
        if len(named) != 1:
            names = ", ".join(sorted(row["name"] for row in found)) or "none"
            said = f"there is no project {self._wanted}" if self._wanted else f"there are {len(found)} projects"
            raise ConfigError(said, f"set project (MITHRIL_PROJECT) to one of: {names}")
        return str(named[0]["fid"])

    def identity(self) -> Identity:
        """Say whom the key stands for."""
        me, project = self._api.get("me"), self.project
        name = next((row["name"] for row in self._api.get("projects") if row["fid"] == project), project)
        return Identity(user=me["email"], account=name, detail={"project": project, "id": me["fid"]})
