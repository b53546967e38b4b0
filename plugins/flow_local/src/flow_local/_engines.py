"""Container engines of this machine: which is there, which works, and what it can do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping

import attrs

INSTALL = "install podman (apt install podman, dnf install podman), docker or apptainer"
_SECONDS = 30.0
# What an engine reads of the shell that the user has it working in.
_NEEDED = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    *("DBUS_SESSION_BUS_ADDRESS", "REGISTRY_AUTH_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_PREFIXES = ("DOCKER_", "CONTAINER", "APPTAINER_", "SINGULARITY_")


@attrs.frozen
class Engine:
    """An engine that works; ``limits``: it can limit memory and cores; ``user`` is whom files belong to, inside."""

    name: str
    program: str
    user: str
    log_driver: str = "none"
    limits: bool = False

    def document(self, reference: str) -> dict[str, object]:
        """Return what the runner needs to run the image."""
        return {
            "reference": reference,
            **attrs.asdict(self, filter=_is_told),
            "engine": self.name,
            "env": _environment(),
        }


def _is_told(attribute: attrs.Attribute[object], _: object) -> bool:
    return attribute.name != "name"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith(_PREFIXES)}


def find(wanted: str | None) -> Engine | str:
    """Return the engine to use, or one line on why there is none.

    ``wanted`` is a name or a path; None tries podman, docker and apptainer, and takes the first that works. Asks each
    (0.05 to 1 s).
    """
    reasons = []
    for name in [wanted] if wanted else _ASK:
        found = _look(name)
        if isinstance(found, Engine):
            return found
        reasons.append(found)
    return "; ".join(reasons)


def _look(name: str) -> Engine | str:
    kind = {"singularity": "apptainer"}.get(os.path.basename(name), os.path.basename(name))
    program = shutil.which(name)
    if kind not in _ASK:
        return f"{name} is not podman, docker or apptainer"
    if program is None:
        return f"{name} is not installed"
    try:
        return _ASK[kind](program)
    except subprocess.TimeoutExpired:
        return f"{name} does not answer"
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{name} does not work: {_words(error)}"


def _words(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _answer(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip()


def _own() -> str:
    return f"{os.getuid()}:{os.getgid()}"


def _podman(program: str) -> Engine:
    version, controllers = _answer(
        program, "info", "--format", "{{.Version.Version}} {{.Host.CgroupControllers}}"
    ).split(" ", 1)
    # From version 4 on the command has the task's log files themselves.
    driver = "passthrough" if int(version.partition(".")[0]) >= 4 else "none"
    words = controllers.strip("[]").split()
    return Engine("podman", program, _own(), driver, {"memory", "cpu"} <= set(words))


def _docker(program: str) -> Engine:
    limits, security = _answer(program, "info", "--format", "{{.MemoryLimit}} {{.SecurityOptions}}").split(" ", 1)
    # Without privileges its root is the user.
    return Engine("docker", program, "0:0" if "rootless" in security else _own(), limits=limits == "true")


def _apptainer(program: str) -> Engine:
    _answer(program, "--version")
    return Engine("apptainer", program, _own())


_ASK: Mapping[str, Callable[[str], Engine]] = {"podman": _podman, "docker": _docker, "apptainer": _apptainer}
