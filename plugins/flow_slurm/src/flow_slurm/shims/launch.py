"""Starts a batch script: on the first node the script itself, on the others what its steps ask for."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import BinaryIO, Dict, List, Optional

from .steps import Leader, follow
from .surroundings import Surroundings

_CHUNK = 65536
_DRAIN = 1.0  # seconds in which what a script left running may still write
_GRACE = 30.0  # Slurm's KillWait
_PASSED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGQUIT)


class Output:
    """A file of the script's and a stream of Flow's, which get the same bytes."""

    def __init__(self, path: str, append: bool, stream: BinaryIO) -> None:
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        self._file = open(path, "ab" if append else "wb", buffering=0)  # noqa: SIM115
        self._stream = stream
        self._read, self.write_end = os.pipe()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        while True:
            data = os.read(self._read, _CHUNK)
            if not data:
                return
            for target in (self._file.fileno(), self._stream.fileno()):
                with suppress(OSError):  # a full disk keeps nobody from running
                    view = memoryview(data)
                    while view:
                        view = view[os.write(target, view) :]

    def close(self) -> None:
        """Wait until all is written that came before."""
        os.close(self.write_end)
        self._thread.join(_DRAIN)


class Script:
    """The script, as it runs."""

    def __init__(self, around: Surroundings, leader: Leader, argv: List[str]) -> None:
        self._around, self._leader = around, leader
        self._argv = [around.folder + "/files/sbatch/slurm_script", *argv]
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._again = False
        self._over = threading.Event()

    def run(self, env: Dict[str, str]) -> int:
        """Run it to its end; what it exited with, negative for a signal."""
        threading.Thread(target=self._obey, daemon=True).start()
        threading.Thread(target=self._warn, daemon=True).start()
        code = self._once({**self._around.variables(), **env})
        self._over.set()
        if self._again:
            self._around.ask_for_another()
        return code

    def _once(self, env: Dict[str, str]) -> int:
        outputs = self._outputs()
        source = self._around.path("input") or os.devnull
        try:
            with open(source, "rb") as stdin:
                self._process = subprocess.Popen(
                    self._argv, env=env, stdin=stdin, stdout=outputs[0].write_end, stderr=outputs[-1].write_end,
                    start_new_session=True,
                )  # fmt: skip
            self._around.name_script(self._process.pid)
            return self._process.wait()
        finally:
            self._around.name_script(None)
            for output in outputs:
                output.close()

    def _outputs(self) -> List[Output]:
        """One where stdout and stderr go to the same file, in their order; else two."""
        around = self._around
        append = around.job["given"].get("open-mode") == "append" or (around.native and around.restarts > 0)
        out, err = around.path("output"), around.path("error")
        first = Output(str(out), append, sys.stdout.buffer)
        return [first] if err in (None, out) else [first, Output(str(err), append, sys.stderr.buffer)]

    def _obey(self) -> None:
        """Do what commands inside the script ask for."""
        while True:
            self._leader.wished.wait()
            self._leader.wished.clear()
            while self._leader.wishes:
                what, number = self._leader.wishes.pop(0)
                if what in ("batch", "steps", "full"):
                    self._signal(what, number)
                else:
                    self._again = what == "requeue"
                    threading.Thread(target=self._stop, daemon=True).start()

    def _signal(self, whom: str, number: int) -> None:
        """Signal the script alone, its steps, or both."""
        process = self._process
        if whom != "steps" and process is not None and process.poll() is None:
            process.send_signal(number)
        if whom != "batch":
            self._leader.tell_steps(number)

    def _stop(self) -> None:
        process = self._process
        self._leader.tell_steps(signal.SIGTERM)
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process is not None and process.poll() is None:
            self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _warn(self) -> None:
        """The signal that was asked for, so long before the limit."""
        wanted, limit = self._around.job["signal"], (self._around.bundle.get("limits") or {}).get("time_limit")
        if not wanted or not limit:
            return
        number, seconds, batch = wanted
        if not self._over.wait(max(0.0, float(limit) - seconds)):
            self._signal("batch" if batch else "steps", number)


def main(argv: List[str]) -> int:
    """``launch [ARGUMENT ...]``, the script's own."""
    try:
        return _launch(argv)
    except (OSError, ValueError) as problem:
        sys.stderr.write("flow: the batch script cannot be started: %s\n" % problem)
        return 125


def _launch(argv: List[str]) -> int:
    around = Surroundings()
    key = str(around.bundle.get("token") or around.bundle["request_id"]).encode()
    address, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", "0"))
    if around.rank:
        for number in _PASSED:
            signal.signal(number, lambda number, frame: None)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if around.native:
            _wait_for_first(around.folder)
        else:
            follow(around.rank, address, port, key)
        return 0
    if around.native:
        address, port = "127.0.0.1", 0  # Slurm starts the steps; what is asked for here is for the script itself
    leader = Leader(around.hosts(), around.room, address, port if around.nodes > 1 else 0, key)
    script = Script(around, leader, argv)
    for number in _PASSED:
        signal.signal(number, _deaf)
    code = script.run({"FLOW_SBATCH_STEPS": "%s:%d" % (address, leader.port), "FLOW_SBATCH_PYTHON": sys.executable})
    leader.end()
    time.sleep(0.05 if around.nodes > 1 else 0)
    if code < 0:
        with suppress(OSError):  # that of SIGKILL cannot be set
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code if code >= 0 else 128 - code


def _wait_for_first(folder: str) -> None:
    """Slurm's own steps need nothing of us but that we are there until the script on rank 0 has ended."""
    path = "%s/attempts/%s/0/exit" % (folder, os.environ.get("FLOW_ATTEMPT", "1"))
    while True:
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            if any(line.startswith("x ") and line.endswith("\n") for line in file):
                return
        time.sleep(0.2)


def _deaf(number: int, frame: object) -> None:
    """All processes of a task get its signals: the script has its own, and we have to see its end."""
