"""`srun` inside a task: starts processes on the task's nodes, as the steps of a job."""

import getopt
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO, Dict, List, Optional, Tuple

from .steps import connect
from .surroundings import Surroundings, _packed

_CHUNK = 65536
_LONG = """
    ntasks= nodes= cpus-per-task= ntasks-per-node= tasks-per-node= nodelist= exclude= label kill-on-bad-exit== exclusive==
    exact overlap overcommit output= error= input= chdir= job-name= gpus-per-task= relative= export= unbuffered mpi=
    cpu-bind= cpu_bind= mem-bind= gpu-bind= gres= gpus= gpus-per-node= mem= mem-per-cpu= mem-per-gpu= time= distribution=
    hint= threads-per-core= ntasks-per-core= ntasks-per-socket= ntasks-per-gpu= cpus-per-gpu= wait= immediate== quiet
    verbose no-kill partition= account= qos= constraint= jobid= signal= propagate== comment= slurmd-debug= open-mode=
    resv-ports== pty het-group= multi-prog container-image= container-mounts= container= bcast== mail-type= mail-user=
    licenses= oversubscribe whole spread-job use-min-nodes switches= network= acctg-freq= profile= gpu-freq= cpu-freq=
    mincpus= reservation= dependency= begin= test-only help version tres-per-task= container-workdir= container-name=
    container-writable container-remap-root container-mount-home no-container-mount-home
""".split()  # noqa: SIM905
_SHORT = "n:N:c:w:x:lKo:e:i:D:J:r:ut:m:W:I:QvkOsp:A:q:C:L:dT:ZB:G:V"
_NAMES = {
    "n": "ntasks", "N": "nodes", "c": "cpus-per-task", "w": "nodelist", "l": "label", "K": "kill-on-bad-exit", "o": "output",
    "e": "error", "i": "input", "D": "chdir", "J": "job-name", "r": "relative", "O": "overcommit", "x": "exclude",
    "tasks-per-node": "ntasks-per-node", "Q": "quiet",
}  # fmt: skip
_CANNOT = {
    "het-group": "a task's nodes are all alike",
    "multi-prog": "start the programs with several sruns",
    "container-image": "say --image to flow run: then all of the script runs in it",
    "container-mounts": "say --mount to flow run",
    "container-workdir": "say --working-dir to flow run",
    "container-name": "say --image to flow run",
    "container": "say --image to flow run",
    "bcast": "a file reaches the nodes with the task's code",
    "exclude": "name the nodes with --nodelist",
    "dependency": "steps run in the script's own order",
    "begin": "steps begin when the script says so",
    "tres-per-task": "say --cpus-per-task and --gpus-per-task",
    "test-only": "steps are not tested",
}


class Usage(Exception):  # noqa: N818
    """The command line is wrong, or asks for what there is not."""


class Step:
    """One step: what was asked for, and the processes."""

    def __init__(self, options: Dict[str, str], argv: List[str]) -> None:
        self.options, self.argv = options, argv
        self.around = Surroundings()
        self.key = str(self.around.bundle.get("token") or self.around.bundle["request_id"]).encode()
        self.tasks: List["Process"] = []
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
        source = _Input(self.options.get("input", ""), self.tasks)
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

    def ended(self, task: "Process") -> None:
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


class Process:
    """One process of a step, here or on another node."""

    def __init__(
        self,
        step: Step,
        rank: int,
        node: int,
        host: str,
        number: int,
        own: Dict[str, str],
        gpus: Optional[str],
        total: int,
    ) -> None:
        self.step, self.rank, self.host, self.step_number = step, rank, host, number
        self._node, self._own, self._gpus, self._total = node, own, gpus, total
        self.place: Tuple[int, str, int] = (0, "", 0)
        self.code = 1
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._connection: Any = None
        self._pumps: List[threading.Thread] = []

    @property
    def status(self) -> int:
        """As a shell has it: 128 and the signal's number for one that was killed."""
        return self.code if self.code >= 0 else 128 - self.code

    def start(self, source: "_Input") -> None:
        """Start it."""
        env = _environment(self.step.options.get("export", "ALL"))
        cwd = self.step.options.get("chdir") or os.getcwd()
        if str(self.place[0]) == os.environ.get("FLOW_NODE_RANK", "0"):
            self._here({**env, **self._own}, cwd, source)
        else:
            self._there(env, cwd)

    def _here(self, env: Dict[str, str], cwd: str, source: "_Input") -> None:
        out, err, piped = self._targets()
        try:
            self._process = subprocess.Popen(
                self.step.argv, env=env, cwd=cwd, stdin=source.stdin(self.rank),
                stdout=subprocess.PIPE if piped else out, stderr=subprocess.PIPE if piped else err,
                start_new_session=True,  # a signal is for all that it starts
            )  # fmt: skip
        except OSError as error:
            self._missing(str(error.strerror))
            return
        if piped:
            self._pumps = [
                _pump(self._process.stdout, self._writer(out)),
                _pump(self._process.stderr, self._writer(err)),
            ]

    def _missing(self, why: str) -> None:
        self.code = 2
        sys.stderr.write("slurmstepd-%s: error: execve(): %s: %s\n" % (self.host, self.step.argv[0], why))

    def _there(self, env: Dict[str, str], cwd: str) -> None:
        _, address, port = self.place
        self._connection = connect(address, port, self.step.key)
        message = {"do": "task", "argv": self.step.argv, "env": env, "own": self._own, "cwd": cwd, "gpus": self._gpus}
        self._connection.send(message)

    def _targets(self) -> Tuple[Any, Any, bool]:
        """Where its output goes: (stdout, stderr, whether each line is to be labelled)."""
        options = self.step.options
        out: Any = sys.stdout.buffer
        err: Any = sys.stderr.buffer
        if "output" in options and options["output"] not in ("all", "none"):
            out = self._file(options["output"])
            err = out if "error" not in options else err
        elif options.get("output") == "none":
            out = open(os.devnull, "wb")  # noqa: SIM115
        if "error" in options and options["error"] != "all":
            err = self._file(options["error"])
        return out, err, "label" in options or os.environ.get("SLURM_LABELIO") == "1"

    def _file(self, pattern: str) -> BinaryIO:
        path = self.step.around.expanded(pattern, self.rank, self._node, str(self.step_number))
        shared = path == self.step.around.expanded(pattern, self.rank + 1, self._node, str(self.step_number))
        return open(path, "ab" if shared and self.rank else "wb", buffering=0)

    def _writer(self, target: BinaryIO) -> "Writer":
        labelled = "label" in self.step.options or os.environ.get("SLURM_LABELIO") == "1"
        width = len(str(self._total - 1))
        return Writer(target, b"%*d: " % (width, self.rank) if labelled else b"")

    def _run(self) -> None:
        if self._process is not None:
            self.code = self._process.wait()
        elif self._connection is not None:
            self._receive()
        for pump in self._pumps:
            pump.join(2.0)
        self.step.ended(self)

    def _receive(self) -> None:
        out, err, _ = self._targets()
        writers = {"out": self._writer(out), "err": self._writer(err)}
        try:
            while True:
                what, value = self._connection.recv()
                if what == "exit":
                    self.code = value
                    break
                if what == "failed":
                    self._missing(value)
                    break
                writers[what].write(value)
        except (EOFError, OSError):
            self.code = 1
            self.step.say("error: Node failure on %s" % self.host)
        for writer in writers.values():
            writer.finish()

    def feed(self, data: bytes) -> None:
        """Give it more of stdin; nothing: that was all."""
        with suppress(OSError, ValueError):
            if self._connection is not None:
                self._connection.send(("in", data))
            elif self._process is not None and self._process.stdin is not None:
                if data:
                    self._process.stdin.write(data)
                    self._process.stdin.flush()
                else:
                    self._process.stdin.close()

    def signal(self, number: int) -> None:
        """Signal it."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
        elif self._connection is not None:
            with suppress(OSError, ValueError):
                self._connection.send(("signal", number))


class Writer:
    """Whole lines with a label before each; without a label bytes as they come."""

    _lock = threading.Lock()

    def __init__(self, target: BinaryIO, label: bytes) -> None:
        self._target, self._label, self._rest = target, label, b""

    def write(self, data: bytes) -> None:
        """Write what came."""
        if not self._label:
            self._put(data)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._put(b"".join(self._label + line + b"\n" for line in lines))

    def finish(self) -> None:
        """Write a last line that has no end."""
        if self._rest:
            self._put(self._label + self._rest + b"\n")

    def _put(self, data: bytes) -> None:
        with self._lock, suppress(BrokenPipeError):
            self._target.write(data)
            self._target.flush()


class _Input:
    """The step's stdin: all of its processes get it, or the one that --input names."""

    def __init__(self, option: str, tasks: List[Process]) -> None:
        self._tasks = [task for task in tasks if not option.isdigit() or task.rank == int(option)]
        self._path = option if option and not option.isdigit() and option not in ("all", "none") else ""
        self._none = option == "none" or (not self._path and _is_null(0))
        self._alone = len(tasks) == 1 and not self._path and not self._none

    def stdin(self, rank: int) -> Any:
        """What a process that is started here has as stdin."""
        if self._alone:
            return None
        return subprocess.DEVNULL if self._none or all(task.rank != rank for task in self._tasks) else subprocess.PIPE

    def start(self) -> None:
        """Begin to pass it on."""
        there = any(task._connection is not None for task in self._tasks)
        if self._none or (self._alone and not there):
            for task in self._tasks:
                task.feed(b"") if self._none and task._connection is not None else None
            return
        threading.Thread(target=self._copy, daemon=True).start()

    def _copy(self) -> None:
        with open(self._path, "rb") if self._path else os.fdopen(0, "rb", closefd=False) as file:
            while True:
                data = os.read(file.fileno(), _CHUNK)
                for task in self._tasks:
                    task.feed(data)
                if not data:
                    return


def _is_null(fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(os.devnull))
    except OSError:
        return True


def _pump(stream: Any, writer: Writer) -> threading.Thread:
    def copy() -> None:
        while True:
            data = os.read(stream.fileno(), _CHUNK)
            if not data:
                break
            writer.write(data)
        writer.finish()

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return thread


def _environment(export: str) -> Dict[str, str]:
    words = [word for word in export.split(",") if word]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    if "ALL" in words:
        return {**os.environ, **given}
    kept = {name: value for name, value in os.environ.items() if name.startswith(("SLURM_", "FLOW_")) or name in words}
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **kept, **given}


def _hosts(text: str) -> List[str]:
    from .scontrol import expand

    if "/" in text:
        with open(text) as file:
            text = ",".join(file.read().split())
    return expand(text) if text else []


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def _name(number: int) -> str:
    return (signal.strsignal(number) or "Signal %d" % number) + (" (core dumped)" if number in (6, 11) else "")


def read(argv: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """The options by long name, and the command. Raises Usage."""
    plain = [name.rstrip("=") + ("=" if name.endswith("=") and not name.endswith("==") else "") for name in _LONG]
    optional = {name[:-2] for name in _LONG if name.endswith("==")}
    split: Dict[str, str] = {}
    words = []
    for at, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name[2:] in optional and word.startswith("--"):
            split[name[2:]] = value if equals else "1"
            words.append(name)
        elif word.startswith("-K") and word[2:].isdigit():
            split["kill-on-bad-exit"] = word[2:]
        else:
            words.append(word)
            if not word.startswith("-") and not _takes_value(argv[at - 1] if at else ""):
                words += argv[at + 1 :]
                break
    try:
        found, rest = getopt.getopt(words, _SHORT, plain)
    except getopt.GetoptError as error:
        what = ("--" if len(error.opt) > 1 else "") + error.opt
        raise Usage("unrecognized option '%s'" % what if "not recognized" in error.msg else error.msg) from None
    options = {_NAMES.get(name.lstrip("-"), name.lstrip("-")): value for name, value in found}
    options.update(split)
    if options.get("kill-on-bad-exit") == "":
        options["kill-on-bad-exit"] = "1"
    for name, why in _CANNOT.items():
        if name in options:
            raise Usage("error: --%s is not to be had in this task: %s" % (name, why))
    if not rest:
        raise Usage("fatal: No command given to execute.")
    return options, rest


def _takes_value(word: str) -> bool:
    if word.startswith("--"):
        return word[2:] + "=" in _LONG
    at = _SHORT.find(word[-1:]) if word.startswith("-") and len(word) == 2 else -1
    return at >= 0 and _SHORT[at + 1 : at + 2] == ":"


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
