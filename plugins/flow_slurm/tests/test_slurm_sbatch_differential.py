"""Scripts by chance, read by sbatch and by us: a real controller says what it understood.

``FLOW_SBATCH_SCRIPTS`` is how many (default 400), ``FLOW_SBATCH_SEED`` which ones (default always the same).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from flow_core import ConfigError
from flow_slurm.sbatch import lines, passed, request as requests, shape, values
from flow_slurm.sbatch.options import by_long
from flow_slurm.sbatch.request import Request

from .cluster import Cluster

COUNT = int(os.environ.get("FLOW_SBATCH_SCRIPTS", "400"))
SEED = int(os.environ.get("FLOW_SBATCH_SEED", "2"))
_KEY = re.compile(r"(?:^|(?<=\s))([A-Z][A-Za-z:/]*)=")

# What may stand for each option; all are values that the controller takes.
VALUES: dict[str, list[str]] = {
    "job-name": ["a", "a b", "x#y", "it's", 'say "hi"', "back\\slash", "é", "=x", "-J", "a,b", "$HOME", "~", "%j"],
    "comment": ["c", "two words", "#1", "a=b", "--mem=1", "x\\", "'", '"'],
    "time": ["5", "0:30", "1:30", "1:2:3", "1-0", "2-12", "1-2:3", "1-2:3:4", "0", "UNLIMITED", "infinite", "90:30", "7"],
    "nodes": ["1", "2", "1-3", "2-2", "3"],
    "ntasks": ["1", "2", "4", "03", "6"],
    "cpus-per-task": ["1", "2", "4"],
    "ntasks-per-node": ["1", "2"],
    "mem": ["100", "1G", "1GB", "2g", "1500", "1025k", "0", "64m"],
    "mem-per-cpu": ["10", "1G", "100M"],
    "output": ["o.txt", "o-%j.txt", "d/%x", "o %j", "/tmp/o-%A", "a#b", "100%%"],
    "error": ["e.txt", "e-%j"],
    "input": ["/dev/null", "in.txt"],
    "partition": ["main", "debug", "main,debug"],
    "gres": ["gpu:1", "gpu:a100:1", "gpu:a100:2", "gpu", "none"],
    "gpus": ["1", "a100:2"],
    "gpus-per-node": ["1", "a100:1"],
    "array": ["0-3", "1,3,5", "0-10:5", "0-3%2", "[1-5]", "1-3,2-5", "7", "3,1", "1-5,"],
    "nice": ["5", "100", "0"],
    "begin": ["now+1hour", "2030-01-01", "2031-02-03T04:05"],
    "constraint": ["fast"],
    "nodelist": ["node1", "node[1-2]"],
    "exclude": ["node3"],
    "licenses": ["tool", "tool:1"],
    "chdir": ["/tmp", "/", "sub dir"],
    "mail-type": ["NONE", "END", "BEGIN,END"],
    "mail-user": ["me@example.org"],
    "qos": ["normal"],
    "account": ["acc", "proj@a100"],
    "signal": ["USR1", "B:USR1@300", "10@5"],
    "tmp": ["10", "1G"],
    "time-min": ["1", "3"],
    "dependency": ["singleton", "afterok:1", "afterany:1:2", "after:1+5"],
    "open-mode": ["append", "truncate"],
    "hint": ["nomultithread"],
    "export": ["NONE", "ALL", "A=b"],
    "ntasks-per-core": ["1"],
    "requeue": [],
    "no-requeue": [],
    "exclusive": [],
    "contiguous": [],
    "overcommit": [],
    "verbose": [],
    "quiet": [],
    "parsable": [],
    "reboot": [],
}  # fmt: skip
VARIABLES = [
    "job-name",
    "time",
    "output",
    "mem",
    "mem-per-cpu",
    "partition",
    "array",
    "gpus",
    "gres",
    "exclusive",
    "requeue",
    "open-mode",
]
NOISE = [
    "",
    "  ",
    "# a comment",
    "\t# more",
    "##SBATCH -J off",
    "# SBATCH -J off",
    " #SBATCH -J off",
    "#sbatch -J off",
    "#SBATCH",
]


class Scripts:
    """Writes scripts by chance."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def case(self) -> tuple[str, list[str], dict[str, str]]:
        """A script, a command line and variables."""
        chance = self._random
        rows = ["#!/bin/bash"]
        for _ in range(chance.randint(0, 6)):
            rows.append(self._directive() if chance.random() < 0.75 else chance.choice(NOISE))
        if chance.random() < 0.2:
            rows += ["set -e", self._directive()]
        rows.append("true")
        said = [word for _ in range(chance.choice([0, 0, 0, 1, 2])) for word in self._option(False)]
        names = chance.sample(VARIABLES, chance.choice([0, 0, 0, 1, 2]))
        env = {str(by_long()[name].env): chance.choice(VALUES[name] or ["1"]) for name in names}
        return "\n".join(rows) + "\n", said, env

    def _directive(self) -> str:
        chance = self._random
        mark = chance.choice(["#SBATCH ", "#SBATCH ", "#SBATCH ", "#SBATCH\t", "#SBATCH   "])
        words = [self._written(word) for _ in range(chance.choice([1, 1, 1, 2, 3])) for word in self._option(True)]
        text = chance.choice([" ", " ", "  ", "\t"]).join(words)
        if chance.random() < 0.04:
            text += chance.choice([" stray", " --nonsense", " -Z", " 'open", " : ", " --mem-p=1", " -"])
        return mark + text + chance.choice(["", "", "", " ", " # why", "\t#why", " #", ";", " \\", ' ""'])

    def _option(self, script: bool) -> list[str]:
        chance = self._random
        name = chance.choice(sorted(VALUES))
        option, found = by_long()[name], VALUES[name]
        if not found:
            return [f"--{name}"]
        value = chance.choice(found)
        if chance.random() < 0.1 and script:
            name = self._shortened(name)
        if option.short and chance.random() < 0.5:
            return chance.choice([[f"-{option.short}", value], [f"-{option.short}{value}"]])
        if option.kind == "optional":
            return [f"--{name}={value}"]
        return chance.choice([[f"--{name}={value}"], [f"--{name}={value}"], [f"--{name}", value]])

    def _shortened(self, name: str) -> str:
        for length in range(3, len(name)):
            if sum(other.startswith(name[:length]) for other in by_long() if other not in _NEWER) == 1:
                return name[: self._random.randint(length, len(name))]
        return name

    def _written(self, word: str) -> str:
        """The word so that it is read as it is, or not quite."""
        chance = self._random
        if chance.random() < 0.1:
            return word
        if not re.search(r"[\s#'\"\\]", word):
            return word if chance.random() < 0.8 else f'"{word}"'
        escaped = re.sub(r"([\\'\"])", r"\\\1", word)
        return chance.choice([f'"{escaped}"', f"'{escaped}'", re.sub(r"([\s#'\"\\])", r"\\\1", word)])


_NEWER = ("segment", "extra", "stepmgr", "oom-kill-step", "resv-ports", "tres-bind", "tres-per-task", "container-id")


def said_by_sbatch(text: str) -> dict[str, str]:
    """The fields of one job as scontrol shows them."""
    found = list(_KEY.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return {match[1]: text[match.end() : end].strip() for match, end in zip(found, ends, strict=False)}


def _clock(minutes: int | None) -> str:
    if minutes is None:
        return "UNLIMITED"
    days, rest = divmod(minutes, 1440)
    return (f"{days}-" if days else "") + f"{rest // 60:02}:{rest % 60:02}:00"


def _size(mib: int) -> str:
    for unit, size in (("T", 1 << 20), ("G", 1 << 10)):
        if mib and mib % size == 0:
            return f"{mib // size}{unit}"
    return f"{mib}M" if mib else "0"


def understood(asked: Request, job: dict[str, str], cwd: Path) -> dict[str, str]:
    """What we understood, in scontrol's words."""
    found: dict[str, str] = {"JobName": asked.text("job-name") or "case.sh"}
    text: dict[str, str] = {
        "comment": "Comment", "partition": "Partition", "constraint": "Features", "licenses": "Licenses",
        "account": "Account", "exclude": "ExcNodeList",
    }  # fmt: skip
    found |= {key: asked.text(name) for name, key in text.items() if name in asked}
    found |= {"ReqNodeList": passed.nodelist(asked)} if "nodelist" in asked else {}
    found |= {"Features": "(null)"} if "constraint" not in asked else {}
    if "time" in asked:
        found["TimeLimit"] = _clock(asked.read("time", values.minutes, None))
    if "time-min" in asked:
        found["TimeMin"] = _clock(asked.read("time-min", values.minutes, None))
    for name, key in (("mem", "MinMemoryNode"), ("mem-per-cpu", "MinMemoryCPU")):
        if name in asked:
            found[key] = _size(asked.read(name, values.mebibytes, 0))
    if "tmp" in asked:
        found["MinTmpDiskNode"] = _size(asked.read("tmp", values.mebibytes, 0))
    if "cpus-per-task" in asked:
        found["CPUs/Task"] = str(asked.read("cpus-per-task", values.count, 0))
    if "ntasks" in asked:
        found["NumTasks"] = str(asked.read("ntasks", values.count, 0))
    if "nice" in asked:
        found["Nice"] = asked.text("nice").rstrip(";")
    found["Requeue"] = "0" if "no-requeue" in asked else "1"
    found["Contiguous"] = "1" if "contiguous" in asked else "0"
    if "array" in asked:
        array = asked.read("array", values.array, values.Array(()))
        assert set(values.array(job["ArrayTaskId"]).indices) == set(array.indices)
        found["ArrayTaskThrottle"] = str(array.throttle) if array.throttle else job.get("ArrayTaskThrottle", "")
        found = {key: value for key, value in found.items() if value}
    if "gres" in asked and "gpus-per-node" not in asked and asked.text("gres") != "none":
        found["TresPerNode"] = f"gres:{asked.text('gres')}"
    if "gpus-per-node" in asked and "gres" not in asked:
        found["TresPerNode"] = f"gres:gpu:{asked.text('gpus-per-node')}"
    if "gpus" in asked:
        found["TresPerJob"] = f"gres:gpu:{asked.text('gpus')}"
    folder = os.path.join(cwd, asked.text("chdir")) if asked.text("chdir") else str(cwd)
    found["WorkDir"] = folder
    for name, key in (("output", "StdOut"), ("input", "StdIn")):
        if name in asked and "%" not in asked.text(name):
            found[key] = os.path.join(folder, asked.text(name))
            job[key] = job.get(key, "").replace("//", "/")
    if asked.text("begin").startswith("20"):
        found["EligibleTime"] = {10: "{}T00:00:00", 16: "{}:00"}[len(asked.text("begin"))].format(asked.text("begin"))
    return found


@pytest.mark.timeout(300)
def test_sbatch_and_we_understand_the_same(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "in.txt").touch()
    monkeypatch.chdir(tmp_path)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", **cluster.environment}
    scripts, different, jobs = Scripts(SEED), [], {}
    for _ in range(COUNT):
        text, said, env = scripts.case()
        Path("case.sh").write_text(text)
        done = subprocess.run(
            ["sbatch", "--hold", "--parsable", *said, "case.sh"],
            env={**environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        asked = _ours(text, said, env)
        case = f"{text}--- {said} {env}"
        if done.returncode == 0:
            if isinstance(asked, str):
                different.append(f"{case}\nsbatch took it, we say: {asked}")
            else:
                jobs[done.stdout.strip() or "quiet"] = (case, asked)
        elif "submission failed" not in done.stderr and not _refused_by_both(asked, done.stderr):
            different.append(f"{case}\nwe took it, sbatch says: {done.stderr}")
    for shown in cluster.ask("scontrol", "show", "job").split("\n\n"):
        job = said_by_sbatch(shown)
        number = job.get("ArrayJobId") or job.get("JobId", "")
        if number in jobs:
            case, asked = jobs[number]
            wrong = {
                key: (value, job.get(key))
                for key, value in understood(asked, job, tmp_path).items()
                if job.get(key) != value
            }
            if wrong:
                different.append(f"{case}\n(we, sbatch): {wrong}")
    assert len(jobs) > COUNT // 3
    assert not different, f"seed {SEED}: {len(different)} of {COUNT} differ, as:\n" + "\n\n".join(
        different[: int(os.environ.get("FLOW_SBATCH_SHOWN", "3"))]
    )


@pytest.mark.parametrize(
    "asked",
    [
        "-w node[1-2]",
        "-w node[1-2] -n1",
        "-w node2,node1 -n1",
        "-w node3,node1,node2 -n2",
        "-w node1,node1,node2 -n3",
        "-w node3 -N2 -n1",
        "-w node[1-2] -N1-3",
        "-w node[1-2] -N3 -n1",
        "-w node[1-2] --ntasks-per-node=2",
        "-w node1 -n4 --ntasks-per-node=2",
        "-w node[1-2] -n1 --overcommit",
        "-N3 -n2",
    ],
)
def test_nodes_that_are_named_and_tasks_come_to_as_many_nodes_as_sbatch_says(cluster: Cluster, asked: str) -> None:
    words = asked.split()
    job = cluster.job(cluster.submit("true", "--hold", *words))
    request = requests.read("#!/bin/sh\n", {}, words)
    ours, named = shape.shape_of(request), passed.nodelist(request) or "(null)"
    theirs = (job["NumNodes"].partition("-")[0], job["NumTasks"], job["ReqNodeList"])
    assert (str(ours.nodes), str(ours.tasks), named) == theirs


def _ours(text: str, said: list[str], env: dict[str, str]) -> Request | str:
    try:
        lines.check(text)
        return requests.read(text, env, said)
    except ConfigError as error:
        return str(error)


# What sbatch itself refuses for the sake of other options, of this cluster or of values that we leave to providers.
_OTHERS = (
    "Invalid GRES",
    "Invalid numeric",
    "unrecognized --",
    "memory allocation",
    "invalid number of nodes",
    "Invalid --",
    "gres",
    "is not a valid",
    "can't run",
    "chdir",
    "exceeds",
    "cannot",
    "allowed",
)


def _refused_by_both(asked: Request | str, said: str) -> bool:
    return isinstance(asked, str) or any(word in said for word in _OTHERS)
