"""One OpenSSH connection per node, shared by everything that this user's processes do there."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from stat import S_ISDIR
from typing import IO, TYPE_CHECKING

from flow_core.errors import AuthError, CapabilityError, FlowError, StateError, TransientError
from flow_core.nodes import _known_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flow_core.types import NodeAccess

UNREACHABLE = 255  # what ssh itself exits with when the connection is the problem
_PROGRAM = "FLOW_SSH"
_START_SECONDS, _ANSWER_SECONDS = 60.0, 120.0
_NO_FORWARDS = ("-o", "ClearAllForwardings=yes")
_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
    # The user's own config counts, but these of its words would break a command.
    "RemoteCommand=none",
    "PermitLocalCommand=no",
)


class Connection:
    """Starts ssh with what ``access`` says; the first use connects, the connection stays 60 s after the last.

    ``state`` is the folder (0700) that keeps pinned host keys. ``FLOW_SSH`` names another ssh program.
    """

    def __init__(self, access: NodeAccess, state: Path) -> None:
        self._access, self._state = access, state
        facts = (
            access.host,
            access.port,
            access.user,
            access.jump,
            access.identity_file,
            access.host_keys,
            access.trust,
        )
        # A machine that is trusted on first use is one task's, or is named: at the same address may be another one later.
        place = (access.machine or access.path) if access.trust == _known_hosts.FIRST_USE else ""
        self._name = "flow-" + sha256(repr((*facts, place)).encode()).hexdigest()[:16]

    def argv(self, remote: str, *flags: str) -> list[str]:
        """Return what to start here for the shell text ``remote`` there; connects when nobody has."""
        self._connect()
        return [*self._base(), *_NO_FORWARDS, *(flags or ("-T", "-e", "none")), "--", self._host, remote]

    def run(
        self, remote: str, stdin: IO[bytes] | bytes | None = None, seconds: float | None = _ANSWER_SECONDS
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``remote`` to its end, within ``seconds``; what its exit code means is the caller's to say.

        Raises TransientError when the node cannot be reached or does not answer.
        """
        try:
            done = subprocess.run(
                self.argv(remote),
                input=stdin if isinstance(stdin, bytes) else None,
                stdin=None if isinstance(stdin, bytes) else stdin or subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                env=_environment(),
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            late = f"{self._host} did not answer within {seconds:.0f} s"
            raise TransientError(late, "see whether it is up, and try again") from error
        if done.returncode == UNREACHABLE:
            raise self.trouble(done.stderr)
        return done

    def start(self, remote: str, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start ``remote``; its stdout is a pipe, what it says on stderr goes to the file ``errors``.

        Like all of our ssh it is in a session of its own: an interrupt typed here is the caller's to handle.
        """
        return subprocess.Popen(
            self.argv(remote),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
            start_new_session=True,
            bufsize=0,
        )

    def forward(self, port: int) -> tuple[str, int]:
        """Have a port of this machine's loopback lead to ``port`` of the node's."""
        self._connect()
        for _ in range(5):  # the free port may be taken before ssh has it
            local = _free_port()
            if self._tell("forward", _way(local, port)) == 0:
                return "127.0.0.1", local
        raise TransientError(f"no port of this machine could be led to port {port} of {self._host}", "try again")

    def stop_forward(self, local: int, port: int) -> None:
        """End what :meth:`forward` began; nothing happens when the connection is gone."""
        if _answers(self._socket):
            self._tell("cancel", _way(local, port))

    def close(self) -> None:
        """End the connection, for all that use it."""
        if _answers(self._socket):
            self._tell("exit")

    def trouble(self, said: bytes) -> FlowError:
        """Return the error for ssh's own exit code: never anything about the task."""
        words = said.decode("utf-8", "replace").strip().splitlines() or ["the connection was closed"]
        text = " ".join(words)
        if "host key is known for" in text:
            return AuthError(
                f"the host key of {self._host} is not known", "log in once with ssh and compare the key, or pin it"
            )
        if "Host key verification failed" in text or "HOST IDENTIFICATION HAS CHANGED" in text:
            return AuthError(
                f"{self._host} shows another host key than the one that is pinned",
                "find out why before you trust the new one",
            )
        if "Permission denied" in text:
            return AuthError(
                f"{self._host} refused the login: {words[-1]}", "check user and key, or add the key to your ssh agent"
            )
        return TransientError(f"{self._host} cannot be reached: {words[-1]}", "see whether it is up, and try again")

    @property
    def _host(self) -> str:
        return self._access.host or "localhost"

    @property
    def _socket(self) -> Path:
        return _sockets() / self._name

    def _base(self, master: str = "no") -> list[str]:
        """No port and no user unless they are told: the user's ssh config may know better."""
        access = self._access
        words = [os.environ.get(_PROGRAM, "ssh"), "-o", f"ControlPath={self._socket}", "-o", f"ControlMaster={master}"]
        for option in (*_OPTIONS, *_known_hosts.options(access, self._name, _private(self._state))):
            words += ["-o", option]
        if access.identity_file:
            words += ["-i", os.path.expanduser(access.identity_file), "-o", "IdentitiesOnly=yes"]
        words += ["-p", str(access.port)] if access.port != 22 else []
        words += ["-l", access.user] if access.user else []
        return words + (["-J", access.jump] if access.jump else [])

    def _connect(self) -> None:
        if not _answers(self._socket):
            with _alone(self._socket):
                if not _answers(self._socket):
                    self._start_master()

    def _start_master(self) -> None:
        self._socket.unlink(missing_ok=True)
        argv = [*self._base("yes"), *_NO_FORWARDS, "-o", "ControlPersist=60", "-f", "-N", "--", self._host]
        # A file, not a pipe: what goes to the background would hold a pipe open.
        with tempfile.TemporaryFile() as errors:
            code = _call(argv, errors, _START_SECONDS)
            if code:
                errors.seek(0)
                raise self.trouble(errors.read())

    def _tell(self, order: str, way: Sequence[str] = ()) -> int:
        with tempfile.TemporaryFile() as errors:
            return _call([*self._base(), "-O", order, *way, "--", self._host], errors, _START_SECONDS)


def _call(argv: Sequence[str], errors: IO[bytes], seconds: float) -> int:
    try:
        null = subprocess.DEVNULL
        return subprocess.run(
            argv,
            stdin=null,
            stdout=null,
            stderr=errors,
            timeout=seconds,
            env=_environment(),
            start_new_session=True,
            check=False,
        ).returncode
    except FileNotFoundError as error:
        raise CapabilityError("there is no ssh program on this machine", "install OpenSSH's client") from error
    except subprocess.TimeoutExpired:
        return UNREACHABLE


def _environment() -> dict[str, str]:
    """Nothing may ask the user: neither a window nor a terminal."""
    return {**os.environ, "SSH_ASKPASS_REQUIRE": "never"}


def _way(local: int, port: int) -> list[str]:
    return ["-L", f"127.0.0.1:{local}:127.0.0.1:{port}"]


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(path))
            return True
        except OSError:
            return False


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time in; the lock's file goes with the last one that held it."""
    lock = f"{path}.lock"
    fd = _locked(lock)
    while not _is_there(fd, lock):  # who held it before has removed it
        os.close(fd)
        fd = _locked(lock)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(lock)
        os.close(fd)


def _locked(lock: str) -> int:
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _is_there(fd: int, lock: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(lock))
    except FileNotFoundError:
        return False


def _sockets() -> Path:
    """A socket's path may have 104 bytes, of which ssh needs 17 for itself: a short folder, whatever TMPDIR says."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    short = runtime and len(os.fsencode(runtime)) < 50 and os.path.isdir(runtime)
    return _private(Path(runtime) / "flow-ssh" if short else Path(f"/tmp/flow-ssh-{os.getuid()}"))


def _private(folder: Path) -> Path:
    """Make ``folder``; refuse one that another user has put there or may look into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StateError(f"{folder} is not a private folder of yours", f"remove it, or run: chmod 700 {folder}")
    return folder
