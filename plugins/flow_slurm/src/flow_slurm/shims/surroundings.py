"""What a batch script finds around it: the variables of Slurm, and where its output goes."""

import json
import os
import re
from typing import Any, Dict, List, Optional

from .number import number

NO_INDEX = 4294967294  # what Slurm puts for %a outside an array
_PATTERN = re.compile(r"%(\d*)([jJAaxNntus%])")
_STEP = ("SLURM_STEP", "SLURM_SRUN_", "SLURM_LAUNCH_", "SLURM_UMASK", "SLURM_DISTRIBUTION", "SLURM_MPI", "PMI")
_OURS = ("SLURM_NTASKS_PER_NODE",)  # what the job of the task asks for, whose one task a node is the runner
_SLURMS = ("SLURM_JOB_CPUS_PER_NODE", "SLURM_CPUS_ON_NODE")  # what Slurm itself knows better
# Flow's words for what a batch script says itself: frameworks that find them do not look for Slurm's.
_RANKS = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK", "NNODES")


class Surroundings:
    """Of one node of one task. ``native``: Slurm itself runs it, and has named the job."""

    def __init__(self) -> None:
        self.folder = os.environ["FLOW_TASK_DIR"]
        with open(self.folder + "/files/sbatch/job.json", encoding="utf-8") as file:
            self.job: Dict[str, Any] = json.load(file)
        with open(self.folder + "/bundle.json", encoding="utf-8") as file:
            self.bundle: Dict[str, Any] = json.load(file)
        self.native = "SLURM_JOB_ID" in os.environ
        self.rank = int(os.environ.get("FLOW_NODE_RANK", "0"))
        self.nodes = int(os.environ.get("FLOW_NUM_NODES", "1"))
        self.number = int(os.environ["SLURM_JOB_ID"]) if self.native else number(os.environ["FLOW_TASK_ID"])
        self.restarts = int(os.environ.get("FLOW_ATTEMPT", "1")) - 1

    @property
    def tasks(self) -> int:
        """The tasks of a step that says nothing."""
        return max(int(self.job["tasks"]), self.nodes) if self._reshaped else int(self.job["tasks"])

    @property
    def _reshaped(self) -> bool:
        """Whether flags of `flow run` have changed what the script asked for."""
        return self.nodes > int(self.job["tasks"])

    @property
    def cpus(self) -> int:
        """The CPUs of each node."""
        claimed = (self.bundle.get("limits") or {}).get("cpus")
        return int(claimed or self.room)

    @property
    def room(self) -> int:
        """The CPUs of each node that steps share: those that the tasks asked for, also where flags have lowered the claim."""
        claimed = (self.bundle.get("limits") or {}).get("cpus") or 1
        return max(int(claimed), self.of_node(0) * int(self.job["cpus_per_task"]))

    def of_node(self, rank: int) -> int:
        """The tasks of a node, where they are dealt out in blocks."""
        each, more = divmod(self.tasks, self.nodes)
        return each + (rank < more)

    def hosts(self) -> List[str]:
        """The nodes' names, each of which leads to it; on one machine its loopback addresses stand for the nodes."""
        if self.nodes == 1:
            return [os.uname().nodename.partition(".")[0]]
        told = os.environ.get("FLOW_NODE_IPS", "").split(",")
        if len(set(told)) == self.nodes:
            return told
        return ["127.0.0.%d" % (rank + 1) for rank in range(self.nodes)]

    def variables(self) -> Dict[str, str]:
        """The environment of the script."""
        env = {name: value for name, value in os.environ.items() if name not in _RANKS}
        counts = self._counts()
        if self.native:
            env = {name: value for name, value in env.items() if not name.startswith((*_STEP, *_OURS))}
            counts = {name: value for name, value in counts.items() if name not in _SLURMS or name not in env}
            self._share_memory(env)
        else:
            env.update(self._job())
            env["PATH"] = "%s/files/sbatch/bin:%s" % (self.folder, env.get("PATH", "/usr/bin:/bin"))
        env.update(counts)
        env.update(self._array())
        env.setdefault("TMPDIR", "/tmp")
        if self.restarts:
            env["SLURM_RESTART_COUNT"] = str(self.restarts)
        return env

    def _job(self) -> Dict[str, str]:
        hosts, given = self.hosts(), self.job["given"]
        names = ",".join(hosts)
        folder = self.job["submit_dir"]
        env = {
            "SLURM_JOB_ID": str(self.number),
            "SLURM_JOBID": str(self.number),
            "SLURM_JOB_NODELIST": names,
            "SLURM_NODELIST": names,
            "SLURM_JOB_NUM_NODES": str(self.nodes),
            "SLURM_NNODES": str(self.nodes),
            "SLURM_JOB_PARTITION": str(given.get("partition") or "flow"),
            "SLURM_JOB_ACCOUNT": str(given.get("account") or ""),
            "SLURM_JOB_QOS": str(given.get("qos") or "normal"),
            "SLURM_JOB_USER": self.job["user"],
            "SLURM_JOB_UID": str(os.getuid()),
            "SLURM_JOB_GID": str(os.getgid()),
            "SLURM_SUBMIT_HOST": self.job["submit_host"],
            "SLURM_CLUSTER_NAME": "flow",
            "SLURMD_NODENAME": hosts[self.rank],
            "SLURM_TOPOLOGY_ADDR": hosts[self.rank],
            "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
            "SLURM_NODE_ALIASES": "(null)",
            "SLURM_WORKING_CLUSTER": "flow",
            "HOSTNAME": hosts[self.rank],
        }
        env["SLURM_SUBMIT_DIR"] = folder if os.path.isdir(folder) else os.getcwd()
        return {**env, **self._resources()}

    def _resources(self) -> Dict[str, str]:
        given, limits = self.job["given"], self.bundle.get("limits") or {}
        env: Dict[str, str] = {}
        if "mem-per-cpu" in given:
            env["SLURM_MEM_PER_CPU"] = str((limits.get("memory") or 0) // 2**20 // max(1, self.cpus))
        elif limits.get("memory"):
            env["SLURM_MEM_PER_NODE"] = str(limits["memory"] // 2**20)
        gpus = int(limits.get("gpu_count") or 0)
        if gpus:
            env["SLURM_GPUS_ON_NODE"] = str(gpus)
            env["SLURM_JOB_GPUS"] = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
            env["GPU_DEVICE_ORDINAL"] = env["ROCR_VISIBLE_DEVICES"] = env["SLURM_JOB_GPUS"]
        for name in ("gpus", "gpus-per-node", "gpus-per-task"):
            if name in given:
                env["SLURM_" + name.upper().replace("-", "_")] = str(given[name])
        return env

    def _share_memory(self, env: Dict[str, str]) -> None:
        """Have steps take their part of the memory, where it was asked for by CPU: the job has asked by node."""
        memory = env.get("SLURM_MEM_PER_NODE", "")
        if "mem-per-cpu" in self.job["given"] and memory.isdigit():
            del env["SLURM_MEM_PER_NODE"]
            env["SLURM_MEM_PER_CPU"] = str(int(memory) // max(1, self.room))

    def _counts(self) -> Dict[str, str]:
        given = self.job["given"]
        env = {
            "SLURM_JOB_NAME": self.job["name"],
            "SLURM_TASKS_PER_NODE": _packed([self.of_node(rank) for rank in range(self.nodes)]),
            "SLURM_JOB_CPUS_PER_NODE": _packed([self.cpus] * self.nodes),
            "SLURM_CPUS_ON_NODE": str(self.cpus),
            "SLURM_NODEID": "0",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
            "SLURM_GTIDS": "0",
            "SLURM_TASK_PID": str(os.getpid()),
            "SLURM_PRIO_PROCESS": "0",
        }
        if "ntasks" in given or "ntasks-per-node" in given or self.native:
            env["SLURM_NTASKS"] = env["SLURM_NPROCS"] = str(self.tasks)
        if "ntasks-per-node" in given:
            env["SLURM_NTASKS_PER_NODE"] = given["ntasks-per-node"]
        if "cpus-per-task" in given:
            env["SLURM_CPUS_PER_TASK"] = str(self.job["cpus_per_task"])
        return env

    def _array(self) -> Dict[str, str]:
        array = self.job["array"]
        if not array:
            return {}
        said = {"TASK_ID": "index", "TASK_COUNT": "count", "TASK_MIN": "min", "TASK_MAX": "max", "TASK_STEP": "step"}
        env = {"SLURM_ARRAY_" + name: str(array[key]) for name, key in said.items()}
        return {**env, "SLURM_ARRAY_JOB_ID": str(self.group)}

    @property
    def group(self) -> int:
        """The number of the array: its first task's."""
        first = os.environ.get("FLOW_GROUP")
        return number(first) if first else self.number

    @property
    def begins_again(self) -> bool:
        """Whether it may be requeued."""
        return self.bundle.get("max_preemptions") != 0

    def ask_for_another(self) -> None:
        """Have this attempt end as one that was interrupted: another one follows, with all of its time."""
        path = "%s/attempts/%s/%d/exit" % (self.folder, os.environ["FLOW_ATTEMPT"], self.rank)
        with open(path, "a", encoding="utf-8") as record:
            record.write("r preempted the script asked to begin again\n")

    def name_script(self, pid: Optional[int]) -> None:
        """Say where Slurm's signals for the script alone go, which reach the job's own shell on this node."""
        if self.native:
            path = self.folder + "/script.pid"
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write("%s\n" % (pid or ""))
            os.replace(path + ".new", path)

    def path(self, option: str) -> Optional[str]:
        """Where ``--output``, ``--error`` or ``--input`` leads; None where it was not given."""
        text = self.job["given"].get(option)
        if not text and option == "output":
            text = "slurm-%A_%a.out" if self.job["array"] else "slurm-%j.out"
        return self.expanded(text) if text else None

    def expanded(self, text: str, rank: int = 0, node: int = 0, step: str = "batch") -> str:
        """A file name with its patterns filled in; a backslash turns them off."""
        array = self.job["array"]
        words = {
            "j": self.number,
            "J": self.number if step == "batch" else "%d.%s" % (self.number, step),
            "A": self.group if array else self.number,
            "a": array["index"] if array else NO_INDEX,
            "x": self.job["name"],
            "N": self.hosts()[node] if self.nodes > 1 else os.uname().nodename.partition(".")[0],
            "n": node,
            "t": rank,
            "u": self.job["user"],
            "s": step,
            "%": "%",
        }
        return filled(text, words)


def filled(text: str, words: Dict[str, Any]) -> str:
    """A file name with those of its patterns filled in that are among the words; a backslash turns them off."""
    if "\\" in text:
        return text.replace("\\", "")

    def fill(found: "re.Match[str]") -> str:
        width, letter = found.groups()
        word = str(words[letter]) if letter in words else found.group()
        return word.zfill(min(int(width), 10)) if width and word.isdigit() else word

    return _PATTERN.sub(fill, text)


def _packed(counts: List[int]) -> str:
    """``2(x3),1``: as Slurm writes the same thing of many nodes."""
    found: List[List[int]] = []
    for count in counts:
        if found and found[-1][0] == count:
            found[-1][1] += 1
        else:
            found.append([count, 1])
    return ",".join("%d(x%d)" % (count, times) if times > 1 else str(count) for count, times in found)
