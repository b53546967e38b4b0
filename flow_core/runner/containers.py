"""Containers: what to start so that a command runs in one, beside one, or one is removed.

A container shares the machine's processes, network and shared memory: signals reach all that runs in it, as without
one, and a port is the machine's. Its files are its image's, but for the task's folder, its code and its mounts, which
stand at the paths they have outside. A shell command writes to the task's log files itself; what an argument list
writes is passed on by the engine, byte for byte: it alone can tell that there is no such command.
"""

import os
import resource
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from .bundle import Bundle, BundleError, Image
from .record import attempt_dir

MARK = "FLOW_BESIDE"  # in the environment of what runs beside, so that it is found when its engine is killed

# The shell's and the interpreter's that start the engine, and those whose value must not become the image's.
_SHELL = frozenset(("PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"))
_ENGINES = frozenset(("PATH", "HOME"))
_UNNAMED = ("GPU-", "MIG-")  # ids that mean the same inside and outside
_ALL = "all"
_INTO = 'exec "$@" >>"$0/stdout" 2>>"$0/stderr"'


class Start(NamedTuple):
    """A program and its environment."""

    argv: List[str]
    env: Dict[str, str]


class Mounted(NamedTuple):
    """What stands at a path inside."""

    source: str
    target: str
    read_only: bool


def names(bundle: Bundle, attempt: int, rank: int) -> List[str]:
    """The names of a rank's containers: one for each of its processes."""
    return [_name(bundle, attempt, rank, local) for local in range(bundle.processes_per_node)]


def _name(bundle: Bundle, attempt: int, rank: int, local: int) -> str:
    request = bundle.request_id if bundle.request_id.startswith("flow-") else "flow-" + bundle.request_id
    name = "%s-%d-%d" % (request, attempt, rank)
    return name if bundle.processes_per_node == 1 else "%s-%d" % (name, local)


def outlives(image: Optional[Image]) -> bool:
    """Whether a container may live on when the program that was started for it is killed."""
    return image is not None and image.engine in ("podman", "docker")


def limits_memory(bundle: Bundle) -> bool:
    """Whether an engine keeps a limit of memory, in a control group of its own."""
    image = bundle.image
    return image is not None and outlives(image) and image.limits and bool(bundle.limits.memory)


def removal(bundle: Bundle, attempt: int, rank: int) -> Start:
    """How to end and remove what may be left of a rank's containers; none there is no error."""
    image = _image(bundle)
    ignore = ["--ignore", "--time", "0"] if image.engine == "podman" else []
    return Start([image.program, "rm", "--force", *ignore, *names(bundle, attempt, rank)], _clean(image, {}))


def running(folder: str, bundle: Bundle, env: Dict[str, str], cwd: str, argv: List[str]) -> Start:
    """How to run ``argv`` in ``cwd`` of a container, with what is the task's in ``env``. Raises BundleError."""
    image = _image(bundle)
    return _RUN[image.engine](_Task(folder, bundle, image, _passed(bundle, env), cwd, argv))


def beside(folder: str, bundle: Bundle, env: Dict[str, str], cwd: str, argv: List[str], attach: List[str]) -> Start:
    """How to run ``argv`` beside what runs in a rank's first container; ``attach`` are the engine's words for stdin."""
    image = _image(bundle)
    if not outlives(image):
        return running(folder, bundle, env, cwd, argv)
    name = _name(bundle, int(env["FLOW_ATTEMPT"]), int(env["FLOW_NODE_RANK"]), 0)
    mark = {MARK: env[MARK]} if MARK in env else {}
    words = [image.program, "exec", *attach, "--workdir", cwd, *(["--env", MARK] if mark else [])]
    return Start([*words, name, *argv], _clean(image, mark))


class _Task(NamedTuple):
    folder: str
    bundle: Bundle
    image: Image
    env: Dict[str, str]  # of the command
    cwd: str
    argv: List[str]

    @property
    def mounted(self) -> List[Mounted]:
        """What stands inside: the task's folder, its code, its mounts, its secrets that are files."""
        bundle = self.bundle
        found = [Mounted(self.folder, self.folder, False)]
        if bundle.code.get("mode") == "inplace":
            found.append(Mounted(str(bundle.code["root"]), str(bundle.code["root"]), False))
        for path in map(os.path.expanduser, bundle.secrets.get("files") or {}):
            found.append(Mounted(path, path, True))
        mounts = [Mounted(m["source"], m["target"], bool(m.get("read_only"))) for m in bundle.mounts]
        return found + sorted(mounts, key=lambda mount: mount.target.count("/"))

    @property
    def gpus(self) -> List[str]:
        """The GPUs that are the task's; empty where it asked for none, ``all`` where nobody shares the machine's out."""
        ids = self.env.get("CUDA_VISIBLE_DEVICES", _ALL) if self.bundle.limits.gpu_count else ""
        return [gpu for gpu in ids.split(",") if gpu]


def _image(bundle: Bundle) -> Image:
    if bundle.image is None or bundle.image.engine not in _RUN:
        raise BundleError("no container engine was chosen for the image: submit the task again")
    return bundle.image


def _passed(bundle: Bundle, env: Dict[str, str]) -> Dict[str, str]:
    """What of an environment is the command's, and not the shell's that starts the engine."""
    told = {*bundle.env, *(bundle.secrets.get("names") or {})}
    own = _SHELL | _ENGINES
    return {name: value for name, value in env.items() if name in told or name not in own}


def _clean(image: Image, env: Dict[str, str]) -> Dict[str, str]:
    """The engine's environment: what it was found to work with, and what it is to hand on."""
    return {**env, **image.env}


def _podman(task: _Task) -> Start:
    # What has the log files itself cannot tell its engine that the command is not there: a shell tells that.
    driver = task.image.log_driver if _is_shell(task.argv) else "none"
    start = _docker_like(task, _gpus_as_devices(task.gpus), driver, task.argv)
    # Podman lowers its own limit of processes to this much before it sets the container's.
    extra = ["--quiet", *_limit("nproc", resource.RLIMIT_NPROC, 32768)] + (
        ["--userns", "keep-id"] if os.getuid() else []
    )
    return Start([*start.argv[:2], *extra, *start.argv[2:]], start.env)


def _docker(task: _Task) -> Start:
    argv, gpus = task.argv, []  # type: Tuple[List[str], List[str]]
    if _is_shell(argv):
        env = task.env
        rank = attempt_dir(task.folder, int(env["FLOW_ATTEMPT"]), int(env["FLOW_NODE_RANK"]))
        argv = ["/bin/sh", "-c", _INTO, rank, *argv]
    if task.gpus:
        gpus = ["--gpus", _ALL if task.gpus == [_ALL] else '"device=%s"' % ",".join(task.gpus)]
    return _docker_like(task, gpus, "none", argv)


def _is_shell(argv: List[str]) -> bool:
    return argv[:2] == ["/bin/sh", "-c"]


def _docker_like(task: _Task, gpus: List[str], driver: str, argv: List[str]) -> Start:
    image, bundle = task.image, task.bundle
    local = int(task.env.get("LOCAL_RANK", 0))
    name = _name(bundle, int(task.env["FLOW_ATTEMPT"]), int(task.env["FLOW_NODE_RANK"]), local)
    words = [image.program, "run", "--rm", "--name", name, "--label", "flow.task=" + bundle.task_id]
    words += ["--network", "host", "--pid", "host", "--ipc", "host", "--security-opt", "label=disable"]
    words += ["--user", image.user, "--log-driver", driver, "--no-healthcheck", "--entrypoint="]
    words += ["--workdir", task.cwd, *_limit("nofile", resource.RLIMIT_NOFILE)]
    for mount in task.mounted:
        words += _volume(mount, "target")
    if image.limits and bundle.limits.memory:
        words += ["--memory", "%db" % bundle.limits.memory, "--memory-swap", "%db" % bundle.limits.memory]
    if image.limits and bundle.limits.cpus:
        words += ["--cpus", "%g" % bundle.limits.cpus]
    handed, env = _handed(task)
    return Start([*words, *gpus, *handed, image.reference, *argv], _clean(image, env))


def _limit(name: str, kind: int, most: int = 1 << 62) -> List[str]:
    """This process's own limit: an engine's default may be more than it is allowed to set."""
    found = [most if limit == resource.RLIM_INFINITY else min(limit, most) for limit in resource.getrlimit(kind)]
    return ["--ulimit", "%s=%d:%d" % (name, found[0], found[1])] if 1 << 62 not in found else []


def _gpus_as_devices(gpus: List[str]) -> List[str]:
    """The names of the Container Device Interface, as ``nvidia-ctk cdi generate`` makes them."""
    return [word for gpu in gpus for word in ("--device", "nvidia.com/gpu=" + gpu)]


def _handed(task: _Task) -> Tuple[List[str], Dict[str, str]]:
    """Flags that name each variable, and the environment from which the engine takes the values.

    A value that would be the engine's own is written out, unless it is a secret: arguments can be read by everybody.
    """
    flags: List[str] = []
    env: Dict[str, str] = {}
    for name, value in sorted(_inside(task).items()):
        if name not in _ENGINES and name not in task.image.env and not name.startswith("LD_"):
            env[name] = value
            flags += ["--env", name]
        elif name in (task.bundle.secrets.get("names") or {}):
            raise BundleError("the secret cannot be the variable %s of a container: give it another name" % name)
        else:
            flags += ["--env", "%s=%s" % (name, value)]
    return flags, env


def _inside(task: _Task) -> Dict[str, str]:
    """The command's variables as they are right inside: only its own GPUs are there, counted from 0."""
    env = dict(task.env)
    if task.image.user.partition(":")[0] not in ("", "0"):
        env.setdefault("HOME", "/tmp")  # the image knows no home of this user
    if task.gpus and not task.gpus[0].startswith((*_UNNAMED, _ALL)):
        env["CUDA_VISIBLE_DEVICES"] = ",".join(str(number) for number in range(len(task.gpus)))
    return env


def _volume(mount: Mounted, at: str) -> List[str]:
    if ":" in mount.source + mount.target:
        ends = ["readonly"] if mount.read_only else []
        return ["--mount", ",".join(["type=bind", "source=" + mount.source, "%s=%s" % (at, mount.target), *ends])]
    flag = "--volume" if at == "target" else "--bind"
    return [flag, "%s:%s%s" % (mount.source, mount.target, ":ro" if mount.read_only else "")]


def _apptainer(task: _Task) -> Start:
    """Its own process becomes the command: logs, signals and limits are those of any other task."""
    reference = task.image.reference
    if "://" not in reference and not reference.startswith(("/", ".")) and not reference.endswith(".sif"):
        reference = "docker://" + reference
    words = [task.image.program, "--silent", "exec", "--cleanenv", "--no-home", "--pwd", task.cwd]
    for mount in task.mounted:
        words += _volume(mount, "destination")
    words += ["--nv"] if task.gpus else []
    env = {"APPTAINERENV_" + name: value for name, value in task.env.items()}
    return Start([*words, reference, *task.argv], _clean(task.image, env))


_RUN: Dict[str, Callable[[_Task], Start]] = {"podman": _podman, "docker": _docker, "apptainer": _apptainer}
