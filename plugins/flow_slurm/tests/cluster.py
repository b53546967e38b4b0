"""A real Slurm cluster in a folder of its own: a controller and some nodes, each a daemon on a port of this machine."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_SBIN = "/usr/sbin:/sbin"
_NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
_ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")
_REST = ("slurmrestd",)
_TITLED = ("slurmstepd", "slurmscriptd")  # they write their titles over their environment
_DAEMONS = (*_TITLED, "munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "slurmrestd")
GPUS = {"node1": ("a100", 4), "node2": ("a100", 4), "node3": ("h100", 2)}
"""The fake GPUs of each node: type and count."""

_CONF = """\
ClusterName={name}
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={folder}/jwt.key
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
PlugStackConfig=/dev/null
MailProg=/bin/true
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
GresTypes=gpu
Licenses=tool:2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,bf_continue
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PriorityType=priority/basic
MinJobAge={min_job_age}
MaxArraySize=1001
MaxJobCount=20000
KillWait=2
InactiveLimit=0
WaitTime=0
CompleteWait=0
MessageTimeout=10
SlurmctldTimeout=5
SlurmdTimeout=300
TCPTimeout=2
BatchStartTimeout=60
JobRequeue=1
{accounting}
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node1} {size} Gres=gpu:a100:4 Feature=fast
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node2} {size} Gres=gpu:a100:4 Feature=fast
NodeName=node3 NodeHostname=localhost NodeAddr=127.0.0.1 Port={node3} {size} Gres=gpu:h100:2
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=60 State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=debug Nodes=node1 MaxTime=30 State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE DefaultTime=60 State=UP PriorityTier=1 GraceTime=2
{extra}
"""
_SIZE = "CPUs=8 RealMemory=16000 State=UNKNOWN"
_ACCOUNTING_LINES = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu,gres/gpu:a100,gres/gpu:h100
AccountingStoreFlags=job_comment"""
_DBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={folder}/jwt.key
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageLoc=slurm_acct
StorageUser={user}
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
CommitDelay=1
"""
_DATABASE_CONF = """\
[mysqld]
user={user}
datadir={folder}/mysql
tmpdir={folder}/run
socket={folder}/mysql.sock
pid-file={folder}/run/mariadbd.pid
log-error={folder}/log/mariadbd.log
skip-networking
innodb_buffer_pool_size=64M
innodb_log_file_size=16M
innodb_lock_wait_timeout=900
innodb_flush_log_at_trx_commit=0
innodb_doublewrite=0
skip-log-bin
performance_schema=OFF
"""


def missing(accounting: bool = False, rest: bool = False) -> str:
    """Name the programs that a cluster needs and this machine lacks."""
    wanted = (*_NEEDED, *(_ACCOUNTING if accounting else ()), *(_REST if rest else ()))
    return ", ".join(name for name in wanted if shutil.which(name, path=_path()) is None)


def _version() -> int:
    said = subprocess.run(["slurmd", "-V"], env={"PATH": _path()}, capture_output=True, text=True, check=True).stdout
    return int(said.split()[-1].partition(".")[0])


def _path() -> str:
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}"


def free_ports(count: int) -> int:
    """Return the first of ``count`` free ports in a row, below those that the kernel gives out.

    Each process of tests has a part of them for itself: two that look at once would find the same.
    """
    low = 20000 + 1000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 11)
    while True:
        base = random.randrange(low, low + 1000 - count)
        if all(_is_free(port) for port in range(base, base + count)):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) != 0


class Cluster:
    """``node1`` and ``node2`` have 4 a100 and the feature ``fast``, ``node3`` has 2 h100; 8 CPUs, 16,000 MB each.

    Partitions: ``main`` (default), ``debug`` (node1, 30 minutes), ``low`` (its jobs are requeued when ``main`` needs
    their place). Licences: ``tool:2``. Clients need only :attr:`environment`; nothing is written outside ``folder``.
    """

    def __init__(self, folder: Path, accounting: bool = False, rest: bool = False, min_job_age: int = 300) -> None:
        assert len(str(folder)) <= 60, f"{folder} is too long a path for sockets"
        self.folder, self.accounting, self.rest = folder, accounting, rest
        self.name = f"test{os.getpid()}"
        self.nodes = tuple(GPUS)
        self.shared = folder / "shared"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = free_ports(6)
        self.rest_url = f"http://127.0.0.1:{self._ports + 2}"
        self._write(min_job_age)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this cluster has in its environment."""
        return {"SLURM_CONF": str(self.conf)}

    def _write(self, min_job_age: int) -> None:
        for name in ("run", "log", "ctld", "spool", "dev", "shared"):
            (self.folder / name).mkdir(mode=0o755)
        self.folder.chmod(0o755)
        ports = {"ctld": 0, "dbd": 1, "node1": 3, "node2": 4, "node3": 5}
        words: dict[str, object] = {name: self._ports + number for name, number in ports.items()}
        words |= {"folder": self.folder, "name": self.name, "user": pwd.getpwuid(os.geteuid()).pw_name, "size": _SIZE}
        words |= {"extra": "", "min_job_age": min_job_age}
        none = "AccountingStorageType=accounting_storage/none"
        words["accounting"] = _ACCOUNTING_LINES.format(**words) if self.accounting else none
        self.conf.write_text(_CONF.format(**words))
        _private(self.folder / "munge.key", os.urandom(1024))
        _private(self.folder / "jwt.key", os.urandom(32))
        _private(self.folder / "slurmdbd.conf", _DBD_CONF.format(**words).encode())
        (self.folder / "my.cnf").write_text(_DATABASE_CONF.format(**words))
        if _version() >= 23:  # its nodes look for control groups whatever the rest says
            (self.folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        self._make_gpus()

    def _make_gpus(self) -> None:
        lines = []
        for node, (kind, count) in GPUS.items():
            (self.folder / "dev" / node).mkdir()
            for number in range(count):
                os.mknod(self.folder / "dev" / node / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            files = f"{self.folder}/dev/{node}/gpu[0-{count - 1}]"
            lines.append(f"NodeName={node} Name=gpu Type={kind} File={files}")
        (self.folder / "gres.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start all daemons and wait until the nodes are idle."""
        self.start_munge()
        if self.accounting:
            self._start_database()
            self.start_accounting()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        if self.rest:
            self._start_rest()
        self.until(lambda: self.node_states() == dict.fromkeys(self.nodes, "idle"), "the nodes do not come up")

    def start_munge(self) -> None:
        """Start the daemon that makes and checks credentials."""
        socket_ = self.folder / "munge.socket"
        files = {
            "socket": socket_,
            "key-file": "munge.key",
            "pid-file": "run/munged.pid",
            "seed-file": "run/munged.seed",
        }
        flags = [f"--{name}={self.folder / file}" for name, file in files.items()]
        self._start("munged", "--foreground", "--force", *flags, f"--log-file={self.folder}/log/munged.log")
        self.until(lambda: self._fine("munge", "-S", str(socket_), "-n"), "munged does not answer")

    def _start_database(self) -> None:
        defaults = f"--defaults-file={self.folder}/my.cnf"
        flags = ["--auth-root-authentication-method=socket", "--auth-root-socket-user=root", "--skip-test-db"]
        done = self.run("mariadb-install-db", defaults, *flags, seconds=60)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self._words()}"
        self._start("mariadbd", defaults)
        self.until(lambda: self._fine("mariadb-admin", f"--socket={self.folder}/mysql.sock", "ping"), "no database")

    def start_accounting(self) -> None:
        """Start slurmdbd; it finds the database by a variable, for want of a setting."""
        self._start("slurmdbd", "-D", MYSQL_UNIX_PORT=f"{self.folder}/mysql.sock")
        self.until(lambda: self._fine("sacctmgr", "-n", "show", "cluster"), "slurmdbd does not answer")

    def start_controller(self) -> None:
        """Start slurmctld, or start it again."""
        self._start("slurmctld", "-D", "-i", "-f", str(self.conf))
        self.until(lambda: "is UP" in self.run("scontrol", "ping").stdout, "slurmctld does not answer")

    def start_node(self, node: str) -> None:
        """Start the daemon of one node, or start it again."""
        self._start("slurmd", "-D", "-N", node, "-f", str(self.conf), name=node)

    def _start_rest(self) -> None:
        argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "slurmrestd", "-a", "rest_auth/jwt"]
        self._start(
            *argv, "-f", str(self.conf), self.rest_url.removeprefix("http://"), name="slurmrestd", SLURM_JWT="daemon"
        )
        port = int(self.rest_url.rpartition(":")[2])
        self.until(lambda: not _is_free(port), "slurmrestd does not listen")

    def token(self, lifespan: int = 3600) -> str:
        """Return a token for slurmrestd."""
        return self.ask("scontrol", "token", f"lifespan={lifespan}").strip().partition("=")[2]

    def _start(self, *argv: str, name: str = "", **env: str) -> None:
        name = name or argv[0]
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],  # a test process that is killed takes them along
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**self._environ(), **env},
                start_new_session=True,
            )

    def _environ(self) -> dict[str, str]:
        return {"PATH": _path(), "HOME": str(self.folder), "LANG": "C.UTF-8", **self.environment}

    def run(self, *argv: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a client program to its end."""
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=seconds, cwd=self.shared, env=self._environ(), check=False
        )

    def ask(self, *argv: str) -> str:
        """Return what a client program says; it must succeed."""
        done = self.run(*argv)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    def _fine(self, *argv: str) -> bool:
        return self.run(*argv).returncode == 0

    def submit(self, script: str, *flags: str) -> str:
        """Submit a batch script with ``flags``; return the job's id."""
        path = self.folder / "run" / f"script-{os.urandom(4).hex()}"
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        return self.ask("sbatch", "--parsable", *flags, str(path)).strip().partition(";")[0]

    def job(self, job_id: str) -> dict[str, str]:
        """Return a job's fields as scontrol shows them; empty when there is no such job."""
        done = self.run("scontrol", "show", "job", "-o", job_id)
        return dict(word.partition("=")[::2] for word in done.stdout.split() if "=" in word)

    def node_states(self) -> dict[str, str]:
        """Return the state of each node."""
        done = self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T")
        return dict(line.split() for line in done.stdout.splitlines())

    def until(self, true: Callable[[], object], otherwise: str, seconds: float = 100) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{otherwise}\n{self._words()}"
            time.sleep(0.02)

    def _words(self) -> str:
        return "\n".join(
            f"{path.name}: {path.read_text(errors='replace')[-500:]}" for path in self.folder.glob("log/*")
        )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End one daemon by its name (``munged``, ``slurmctld``, ``node1``, ``slurmdbd``, ``slurmrestd``)."""
        daemon = self._daemons.pop(name)
        daemon.send_signal(number)
        daemon.wait(30)

    def crash(self, node: str) -> None:
        """Take a node down with everything that runs on it."""
        self.kill(node)
        stopped: dict[int, psutil.Process] = {}  # none may see another one go, nor one that it has just started
        while found := [one for one in self._processes() if one.pid not in stopped and self._is_on(one, node)]:
            for process in found:
                stopped[process.pid] = process
                with suppress(psutil.Error):
                    process.suspend()
        for process in stopped.values():
            with suppress(psutil.Error):
                process.kill()

    def _is_on(self, process: psutil.Process, node: str) -> bool:
        with suppress(psutil.Error):
            told = process.environ().get("SLURMD_NODENAME") == node
            return told or (process.name() in _TITLED and self._log(process) == f"{node}.log")
        return False

    @contextmanager
    def hasty(self) -> Iterator[None]:
        """Jobs that begin again do so at once, not only when the credentials of their last start expire (2 minutes).

        Not for a job that goes back to a node which was down and still ends it: that node refuses it.
        """
        over = threading.Event()

        def hasten() -> None:
            while not over.wait(0.2):
                for line in self.run("squeue", "-h", "-t", "PD", "-o", "%i %r").stdout.splitlines():
                    job, _, reason = line.partition(" ")
                    if reason == "BeginTime":
                        self.run("scontrol", "update", f"jobid={job}", "starttime=now")

        thread = threading.Thread(target=hasten)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def clients(self) -> set[str]:
        """Return the names of what asks this cluster now: of no job, and no daemon."""
        found = set()
        for process in self._processes():
            with suppress(psutil.Error):
                name = process.name()
                if name not in _DAEMONS and "SLURM_JOB_ID" not in process.environ():
                    found.add(name)
        return found

    def clear(self) -> None:
        """Cancel all jobs, have all nodes up, and wait until nothing is left."""
        jobs, states = self._found()
        if jobs:
            self.run("scancel", "--full", *jobs)
        for node in (node for node, state in states.items() if state.startswith(("down", "drain"))):
            self.run("scontrol", "update", f"nodename={node}", "state=resume")
        clear = ([], dict.fromkeys(self.nodes, "idle"))
        if (jobs, states) != clear:
            self.until(lambda: self._found() == clear, "jobs are left")

    def _found(self) -> tuple[list[str], dict[str, str]]:
        return self.run("squeue", "-h", "-o", "%A").stdout.split(), self.node_states()

    def stop(self) -> None:
        """End everything that belongs to this cluster, and nothing else."""
        for daemon in self._daemons.values():
            daemon.kill()
            daemon.wait()
        while found := list(self._processes()):
            for process in found:
                with suppress(psutil.Error):
                    process.kill()

    def _processes(self) -> Iterator[psutil.Process]:
        """Yield what belongs to this cluster: its daemons, what they have started, and what its tasks have."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and self._has(process):
                    yield process

    def _has(self, process: psutil.Process) -> bool:
        known = process.environ().get("SLURM_CONF") == str(self.conf)
        return known or (process.name() in _TITLED and bool(self._log(process)))

    def _log(self, process: psutil.Process) -> str:
        """The name of the log of this cluster that a process writes to; empty when there is none."""
        found = (Path(file.path) for file in process.open_files())
        return next((path.name for path in found if path.parent == self.folder / "log" and path.suffix == ".log"), "")


def _private(path: Path, data: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(data)


@contextmanager
def running(accounting: bool = False, rest: bool = False, min_job_age: int = 300) -> Iterator[Cluster]:
    """A cluster that runs for as long as the block does."""
    with tempfile.TemporaryDirectory(prefix="fs", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder), accounting, rest, min_job_age)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
