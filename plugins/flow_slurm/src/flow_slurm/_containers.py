"""What runs container images on a cluster: pyxis, where srun has its options, else apptainer.

Sources: the options of pyxis 0.20 (``srun --help`` on a cluster that has it, github.com/NVIDIA/pyxis); apptainer's are
in the runner. What the login node has is taken to be on the nodes too, unless the profile names another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from flow_core import Problem, TaskConfig
from flow_slurm._shell import Shell

_LOOK = (
    "if srun --help 2>/dev/null | grep -q -e --container-image; then echo pyxis; else echo; fi; "
    'command -v apptainer || command -v singularity || echo; echo "$PATH"; echo "$HOME"'
)
_APPTAINER = ("apptainer", "singularity")
# $0 the image, $1 its mounts, $2 where to start or nothing; it runs as a step of this node alone.
_STEP = (
    "image=$0 mounts=$1 at=${2:-$PWD}; shift 2; exec srun --overlap --nodes=1 --ntasks=1 --ntasks-per-node=1 "
    '--nodelist="$SLURMD_NODENAME" --unbuffered --quiet ${SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK} '
    '--container-image="$image" ${mounts:+--container-mounts="$mounts"} --container-workdir="$at" "$@"'
)


@attrs.frozen
class Engine:
    """How images run: ``program`` is apptainer's, empty with pyxis; ``env`` is what it needs on a node."""

    program: str
    env: Mapping[str, str]

    def completed(self, config: TaskConfig, document: Mapping[str, Any], folder: str) -> dict[str, Any]:
        """Return a task's bundle so that its command runs in its image; ``folder`` is the task's own."""
        if self.program:
            image = {"reference": config.image, "engine": "apptainer", "program": self.program, "env": dict(self.env)}
            return {**document, "image": image}
        at = config.working_dir if config.working_dir and config.working_dir.startswith("/") else ""
        mounts = ",".join(_mounted(document, folder))
        argv = ["/bin/sh", "-c", _STEP, config.image, mounts, at, *_words(document["command"])]
        # To the runner it is a command as any other: what it mounts is mounted inside. srun is found by the PATH that
        # is passed; of what the image sets pyxis takes the image's.
        passed = ["PATH", *document["env_pass"]]
        changed: dict[str, Any] = {"image": None, "mounts": [], "command": {"argv": argv}, "env_pass": passed}
        return {**document, **changed, "working_dir": None if at else document["working_dir"]}


def _mounted(document: Mapping[str, Any], folder: str) -> Iterator[str]:
    yield f"{folder}:{folder}"
    if root := document["code"]["root"]:
        yield f"{root}:{root}"
    for path in document["secrets"].get("files") or ():
        yield f"{path}:{path}:ro"
    for mount in document["mounts"]:
        yield f"{mount['source']}:{mount['target']}{':ro' if mount['read_only'] else ''}"


def _words(command: Mapping[str, Any]) -> list[str]:
    return list(command["argv"]) if "argv" in command else ["/bin/sh", "-c", command["shell"]]


def query(shell: Shell) -> str:
    """Ask what there is."""
    return shell.run(_LOOK).out


def choose(said: str, wanted: str | None) -> Engine | None:
    """Return what to run images with: ``wanted`` (pyxis, apptainer, a path), else what :func:`query` found."""
    lines = [*said.splitlines(), "", "", "", ""]
    env = {"PATH": lines[2], "HOME": lines[3]}
    if wanted == "pyxis" or (wanted is None and lines[0] == "pyxis"):
        return Engine("", {})
    program = (lines[1] or wanted) if wanted in _APPTAINER else wanted or lines[1]
    return Engine(program, {name: value for name, value in env.items() if value}) if program else None


def problems(config: TaskConfig, engine: Engine | None) -> Iterator[Problem]:
    """Name what keeps a task's image from running here."""
    if engine is None:
        text = "nothing here runs container images: srun has no --container-image (pyxis), and there is no apptainer"
        hint = "have pyxis or apptainer installed; where only the nodes have it, set `containers:` in the profile"
        yield Problem("image", "NO_ENGINE", text, hint)
    elif not engine.program:
        for number, mount in enumerate(config.mounts):
            if "://" in mount.source or set(",:") & set(mount.source.removeprefix("volume:") + mount.target):
                text = f"pyxis mounts folders only, without a comma or a colon in their names, not {mount.source}"
                yield Problem(f"mounts[{number}]", "NO_SUCH_MOUNT", text, "fetch it in the command, or rename it")
