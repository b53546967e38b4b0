"""The ssh key that opens this user's machines."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path

from flow_core.errors import CapabilityError, ConfigError, ConflictError
from flow_core.settings import make_folder
from flow_mithril._api import Api
from flow_mithril._records import Records

PREFIX = "flow-"


class SshKey:
    """A key pair of this machine and its registration in a project: the user's own, or one that is made for Flow."""

    def __init__(self, path: Path | None, records: Records) -> None:
        self._path, self._records = path, records

    @property
    def private(self) -> Path:
        """The private half."""
        return (self._path or self._records.root / "id_ed25519").expanduser()

    def public(self) -> str:
        """Return the public half; makes Flow's own pair at the first need. Raises ConfigError, CapabilityError."""
        if self._path is None and not self.private.is_file():
            self._make()
        path = self.private.with_name(self.private.name + ".pub")
        try:
            return " ".join(path.read_text().split()[:2])
        except OSError as error:
            raise ConfigError(
                f"the public half of {self.private} is not there", f"make it: ssh-keygen -y -f {self.private} > {path}"
            ) from error

    def ids(self, api: Api, project: str, known: list[dict[str, str]]) -> list[str]:
        """Return the ids of our key, registered when it is not, and of those that the project requires."""
        public = self.public()
        mine = [key["fid"] for key in known if " ".join(key["public_key"].split()[:2]) == public]
        required = [key["fid"] for key in known if key.get("required")]
        return sorted({*(mine[:1] or [self._register(api, project, public)]), *required})

    def _register(self, api: Api, project: str, public: str) -> str:
        name = PREFIX + sha256(public.encode()).hexdigest()[:12]
        try:
            made = api.post("ssh-keys", {"project": project, "name": name, "public_key": public})
        except ConflictError:  # another process of ours was first
            rows = api.get("ssh-keys", project=project)
            made = next(row for row in rows if " ".join(row["public_key"].split()[:2]) == public)
        return str(made["fid"])

    def _make(self) -> None:
        make_folder(self._records.root)
        with self._records.alone("ssh-key"):
            if self.private.is_file():
                return
            new = self.private.with_name(f".new-{os.getpid()}")
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "flow", "-f", str(new)]
            try:
                subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)
            except FileNotFoundError as error:
                raise CapabilityError("there is no ssh-keygen here", "install OpenSSH's client") from error
            new.with_name(new.name + ".pub").rename(self.private.with_name(self.private.name + ".pub"))
            new.rename(self.private)
