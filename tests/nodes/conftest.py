"""A real sshd on loopback: its own port, host key and configuration, for one test each."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest


class Sshd:
    """An ssh server of the user who runs the tests; ``home`` is HOME of what runs there."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.home = folder / "home"
        self.key, self.host_key = folder / "user", folder / "host"
        self.process: subprocess.Popen[bytes] | None = None
        self.home.mkdir()
        for key in (self.key, self.host_key):
            self.make_key(key)
        shutil.copy(f"{self.key}.pub", folder / "authorized")

    @property
    def public_host_key(self) -> str:
        """The key by which clients know this server."""
        return " ".join(Path(f"{self.host_key}.pub").read_text().split()[:2])

    def make_key(self, path: Path) -> str:
        """Make a key pair; return the public part."""
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return " ".join(Path(f"{path}.pub").read_text().split()[:2])

    def start(self, path: str = "/usr/local/bin:/usr/bin:/bin") -> None:
        """Listen; ``path`` is PATH of what runs there."""
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.host_key}\nPidFile none\n"
            "StrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nPasswordAuthentication no\nPermitRootLogin yes\n"
            f"PermitUserRC no\nSetEnv HOME={self.home} PATH={path}\n"
        )
        argv = [program(), "-D", "-e", "-f", str(config)]
        with open(self.folder / "sshd.log", "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
            time.sleep(0.01)

    def cut(self) -> None:
        """End all connections, not what runs behind them."""
        if self.process is not None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if child.name().startswith("sshd"):
                        child.kill()

    def stop(self) -> None:
        """Go away as a machine does that is switched off."""
        if self.process is not None:
            self.cut()
            self.process.kill()
            self.process.wait()
            self.process = None


def program() -> str:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """A server that listens; clients of this test have their own folder for sockets and no ssh agent."""
    if not program():
        assert os.environ.get("CI") != "true", "there is no sshd: apt-get install openssh-server"
        pytest.skip("there is no sshd on this machine")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "sshd").mkdir()
    with tempfile.TemporaryDirectory(prefix="f", dir="/tmp") as runtime:  # a socket's path must be short
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        server = Sshd(tmp_path / "sshd", free_port())
        server.start()
        yield server
        server.stop()


@pytest.fixture
def sockets(sshd: Sshd) -> Path:
    """The folder of the connections that this test's clients have."""
    assert sshd.process is not None
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "flow-ssh"
