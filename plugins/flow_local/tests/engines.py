"""Container engines of the tests' own: their images, containers and daemons are in a folder that goes with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

IMAGE = "flow-test:1"
_TOOLS = (
    *("sh", "cat", "ls", "env", "sleep", "id", "test", "echo", "kill", "pwd", "touch", "mkdir", "grep", "true"),
    *("false", "httpd", "readlink"),
)


@attrs.frozen
class TestEngine:
    """An engine with the image ``IMAGE``; ``env`` makes its command find it."""

    __test__ = False

    name: str
    env: Mapping[str, str]

    def __call__(self, *words: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(
            [self.name, *words], env={**os.environ, **self.env}, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def containers(self) -> list[str]:
        """Return the names of all containers, running or not."""
        return self("ps", "--all", "--format", "{{.Names}}").split()


def missing(*programs: str) -> str:
    """Say which programs are not installed; empty when all are."""
    return ", ".join(name for name in programs if shutil.which(name) is None)


@contextmanager
def podman() -> Iterator[TestEngine]:
    """Podman with a storage of its own."""
    with _folder() as folder:
        # Its defaults are for a machine with systemd and all capabilities.
        runtime = 'runtime = "runc"\n' if shutil.which("runc") else ""
        (folder / "containers.conf").write_text(
            f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "{folder}/tmp"\n{runtime}'
        )
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        )
        env = {"CONTAINERS_CONF": f"{folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf"}
        engine = TestEngine("podman", env)
        engine("import", "-", f"localhost/{IMAGE}", stdin=_image(folder))
        engine("tag", f"localhost/{IMAGE}", IMAGE)
        yield engine
        engine("rm", "--all", "--force", "--time", "0")


@contextmanager
def docker() -> Iterator[TestEngine]:
    """A Docker daemon with a socket of its own, and no network of its own."""
    with _folder() as folder, open(folder / "log", "wb") as log:
        words = f"--data-root {folder}/data --exec-root {folder}/exec -p {folder}/pid -H unix://{folder}/socket"
        flags = "--bridge=none --iptables=false --exec-opt native.cgroupdriver=cgroupfs"
        daemon = subprocess.Popen(["dockerd", *words.split(), *flags.split()], stdout=log, stderr=log)
        try:
            engine = TestEngine("docker", {"DOCKER_HOST": f"unix://{folder}/socket"})
            _wait(engine, daemon, folder / "log")
            engine("import", "-", IMAGE, stdin=_image(folder))
            yield engine
            for name in engine.containers():
                engine("rm", "--force", name)
        finally:
            daemon.terminate()
            daemon.wait(timeout=30)


def _wait(engine: TestEngine, daemon: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while daemon.poll() is None and time.monotonic() < end:
        try:
            engine("info")
            return
        except AssertionError:
            time.sleep(0.05)
    raise RuntimeError(f"dockerd did not start: {log.read_text()[-2000:]}")


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder with a short path: the engines put sockets into it, whose paths may have 108 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="flow-", dir="/tmp"))
    try:
        yield folder
    finally:
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
            subprocess.run(["umount", "-l", path], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _image(folder: Path) -> bytes:
    """Return busybox as a file system, with the libraries it may need."""
    root, busybox = folder / "rootfs", shutil.which("busybox")
    assert busybox is not None
    for name in ("bin", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for name in _TOOLS:
        (root / "bin" / name).symlink_to("busybox")
    said = subprocess.run(["ldd", busybox], capture_output=True, text=True, check=False).stdout
    for library in [word for word in said.split() if word.startswith("/")]:
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    (root / "etc" / "from-the-image").write_text("yes\n")
    (root / "tmp").chmod(0o1777)
    return subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True).stdout
