"""`srun` inside a task: starts processes on the task's nodes, as the steps of a job."""

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, Dict, List, Optional, Tuple

from .srun_options import Usage, read
from .srun_output import Input
from .srun_process import Process
from .steps import connect
from .surroundings import Surroundings, _packed


class Step:
    """One step: what was asked for, and the processes."""

    def __init__(self, options: Dict[str, str], argv: List[str]) -> None:
        self.options, self.argv = options, argv
        self.around = Surroundings()
        self.key = str(self.around.bundle.get("token") or self.around.bundle["request_id"]).encode()
        self.tasks: List[Process] = []
        self.quiet = "quiet" in options
        self._lock = threading.Lock()
        self._bad = False
        self._killed = False

    def _number(self, name: str, default: int) -> int:
        try:
            return int(self.options.get(name, default))
        except ValueError:
            raise Usage('error: Invalid numeric value "%s" for --%s.' % (self.options[name], name)) from None

    def _asked(self) -> Dict[str, Any]:
        hosts = _hosts(self.options.get("nodelist", ""))
        nodes = (
            self._number("nodes", 0)
            if "-" not in self.options.get("nodes", "")
            else int(self.options["nodes"].split("-")[0])
        )
        per_node = self._number("ntasks-per-node", 0)
        tasks = self._number("ntasks", 0)
        if not tasks and per_node:
            tasks = per_node * (nodes or len(hosts) or self.around.nodes)
        if not tasks:
            tasks = nodes or len(hosts) or int(os.environ.get("SLURM_NTASKS") or self.around.tasks)
            if "nodes" in self.options and "SLURM_NTASKS" in os.environ and nodes == self.around.nodes:
                tasks = max(nodes, int(os.environ["SLURM_NTASKS"]))
        if nodes > tasks:
            self.say("Warning: can't run %d processes on %d nodes, setting nnodes to %d" % (tasks, nodes, tasks))
            nodes = tasks
        default = int(os.environ.get("SRUN_CPUS_PER_TASK") or 1)
        self.cpus = self._number("cpus-per-task", default)
        return {
            "do": "step", "tasks": tasks, "nodes": nodes or len(hosts) or min(tasks, self._allocated(tasks)), "hosts": hosts,
            "cpus": self.cpus, "per_node": per_node, "relative": self._number("relative", 0),
            "exact": "exact" in self.options or "exclusive" in self.options or "cpus-per-task" in self.options,
            "overlap": "overlap" in self.options, "overcommit": "overcommit" in self.options,
        }  # fmt: skip

    def _allocated(self, tasks: int) -> int:
        """The nodes of a step that names none: all of the task, or one for what may sit anywhere."""
        anywhere = "exact" in self.options or "exclusive" in self.options
        return 1 if anywhere and tasks * self.cpus <= self.around.room else self.around.nodes

    def say(self, text: str) -> None:
        """A line of srun's own."""
        if not self.quiet:
            sys.stderr.write("srun: %s\n" % text)
            sys.stderr.flush()

    def run(self) -> int:
        """Run it; the highest exit code of its processes."""
        address, _, port = os.environ["FLOW_SBATCH_STEPS"].rpartition(":")
        leader = connect(address, int(port), self.key)
        leader.send(self._asked())
        answer = leader.recv()
        if answer[0] == "waits":
            self.say(
                "Job %d step creation temporarily disabled, retrying (Requested nodes are busy)" % self.around.number
            )
            answer = leader.recv()
            if answer[0] == "step":
                self.say("Step created for job %d" % self.around.number)
        if answer[0] == "refused":
            raise Usage("error: Unable to create step for job %d: %s" % (self.around.number, answer[1]))
        self._start(answer[1], answer[2])
        threading.Thread(target=self._listen, args=(leader,), daemon=True).start()
        for task in self.tasks:
            task.thread.join()
        return max((task.status for task in self.tasks), default=0)

    def _start(self, number: int, places: List[Tuple[int, str, Tuple[str, int], int]]) -> None:
        total = sum(count for _, _, _, count in places)
        shared = {
            "SLURM_STEP_ID": str(number),
            "SLURM_STEPID": str(number),
            "SLURM_STEP_NUM_TASKS": str(total),
            "SLURM_STEP_NUM_NODES": str(len(places)),
            "SLURM_STEP_NODELIST": ",".join(host for _, host, _, _ in places),
            "SLURM_STEP_TASKS_PER_NODE": _packed([count for _, _, _, count in places]),
            "SLURM_TASKS_PER_NODE": _packed([count for _, _, _, count in places]),
            "SLURM_NTASKS": str(total),
            "SLURM_NPROCS": str(total),
            "SLURM_NNODES": str(len(places)),
            "SLURM_SRUN_COMM_HOST": os.environ["FLOW_SBATCH_STEPS"].rpartition(":")[0],
            "SLURM_LAUNCH_NODE_IPADDR": os.environ["FLOW_SBATCH_STEPS"].rpartition(":")[0],
            "SLURM_DISTRIBUTION": "block",
            "SLURM_UMASK": "%04o" % _umask(),
        }
        if "cpus-per-task" in self.options:
            shared["SLURM_CPUS_PER_TASK"] = str(self.cpus)
        if "job-name" in self.options:
            shared["SLURM_JOB_NAME"] = self.options["job-name"]
        rank = 0
        for at, (node, host, (address, port), count) in enumerate(places):
            for local in range(count):
                own = {
                    **shared,
                    "SLURM_PROCID": str(rank),
                    "SLURM_LOCALID": str(local),
                    "SLURM_NODEID": str(at),
                    "SLURM_GTIDS": ",".join(str(rank - local + one) for one in range(count)),
                    "SLURMD_NODENAME": host,
                }
                gpus = self._gpus(local)
                if gpus is not None:
                    own["CUDA_VISIBLE_DEVICES"] = own["SLURM_STEP_GPUS"] = gpus
                self.tasks.append(Process(self, rank, at, host, number, own, gpus, total))
                rank += 1
                self.tasks[-1].place = (node, address, port)
        source = Input(self.options.get("input", ""), self.tasks)
        for task in self.tasks:
            task.start(source)
        for task in self.tasks:  # only now: the first to fail may have to end the others
            task.thread.start()
        source.start()
        for number_ in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT):
            signal.signal(number_, lambda number_, frame: self.signal(number_))

    def _gpus(self, local: int) -> Optional[str]:
        """The GPUs of one process, where each has its own."""
        text = self.options.get("gpus-per-task") or os.environ.get("SLURM_GPUS_PER_TASK") or ""
        each = text.rpartition(":")[2]
        there = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        if not each.isdigit() or there == [""]:
            return None
        return ",".join(there[local * int(each) : (local + 1) * int(each)])

    def _listen(self, leader: Any) -> None:
        with suppress(EOFError, OSError):
            while True:
                what, value = leader.recv()
                if what == "signal":
                    self.signal(value)

    def signal(self, number: int) -> None:
        """Signal all processes."""
        for task in self.tasks:
            task.signal(number)

    def ended(self, task: Process) -> None:
        """A process has ended: badly, the others may have to end too."""
        with self._lock:
            if task.status == 0 or self._killed:
                return
            if task.code < 0:
                self.say("error: %s: task %d: %s" % (task.host, task.rank, _name(-task.code)))
            else:
                self.say("error: %s: task %d: Exited with exit code %d" % (task.host, task.rank, task.status))
            if self.options.get("kill-on-bad-exit", "0") != "0" and len(self.tasks) > 1:
                self._killed = True
                self.say("Terminating job step %d.%d" % (self.around.number, task.step_number))
        if self._killed:
            self.signal(signal.SIGTERM)
            threading.Timer(2.0, self.signal, (signal.SIGKILL,)).start()


def _hosts(text: str) -> List[str]:
    from .scontrol import expand

    if "/" in text:
        with open(text) as file:
            text = ",".join(file.read().split())
    return expand(text) if text else []


def _name(number: int) -> str:
    return (signal.strsignal(number) or "Signal %d" % number) + (" (core dumped)" if number in (6, 11) else "")


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def main(argv: List[str]) -> int:
    """``srun [OPTION ...] COMMAND [ARGUMENT ...]``."""
    try:
        if "FLOW_SBATCH_STEPS" not in os.environ:
            raise Usage("error: this is no batch script's task")
        options, command = read(argv)
        return Step(options, command).run()
    except Usage as problem:
        sys.stderr.write("srun: %s\n" % problem)
        return 1 if str(problem).startswith(("error", "fatal")) else 255
