"""A real sshd on loopback: the login node of a test's cluster."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


class Sshd:
    """``home`` is HOME of what runs there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.key, self.host_key = folder / "user", folder / "host"
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            self.port = int(trial.getsockname()[1])
        self.home.mkdir()
        for key in (self.key, self.host_key):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def public_host_key(self) -> str:
        """The key by which clients know this server."""
        return " ".join(Path(f"{self.host_key}.pub").read_text().split()[:2])

    def start(self) -> None:
        """Listen."""
        config = self.folder / "config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.host_key}\nPidFile none\nStrictModes no\n"
            f"UsePAM no\nAuthorizedKeysFile {self.key}.pub\nPasswordAuthentication no\nPermitRootLogin yes\n"
            f"SetEnv HOME={self.home} PATH=/usr/local/bin:/usr/bin:/bin\n"
        )
        with open(self.folder / "log", "ab") as log:
            argv = [program(), "-D", "-e", "-f", str(config)]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.01)

    def cut(self) -> None:
        """End all connections, not what runs behind them."""
        assert self._process is not None
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name().startswith("sshd"):
                    child.kill()

    def stop(self) -> None:
        """Go away as a machine does that is switched off."""
        if self._process is not None:
            self.cut()
            self._process.kill()
            self._process.wait()
            self._process = None

    def settings(self, environment: dict[str, str]) -> dict[str, object]:
        """What a profile says to reach this login node, where Slurm's commands need ``environment``."""
        return {
            "ssh": f"127.0.0.1:{self.port}",
            "identity_file": str(self.key),
            "host_keys": [self.public_host_key],
            "prepare": "; ".join(f"export {name}={value}" for name, value in environment.items()),
        }


def program() -> str:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


@contextmanager
def running() -> Iterator[Sshd]:
    """A server that listens; ssh keeps its sockets in a folder of the test's own, by XDG_RUNTIME_DIR."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fh", dir="/tmp") as folder:
        server = Sshd(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
