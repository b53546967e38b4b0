"""One process of a step, on this node or on another."""

import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Dict, List, Optional, Tuple

from .srun_output import Input, Writer, pump
from .steps import connect

if TYPE_CHECKING:
    from .srun import Step


class Process:
    """One process of a step, here or on another node."""

    def __init__(
        self,
        step: "Step",
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

    @property
    def is_elsewhere(self) -> bool:
        """Whether another node runs it."""
        return self._connection is not None

    def start(self, source: Input) -> None:
        """Start it."""
        env = _environment(self.step.options.get("export", "ALL"))
        cwd = self.step.options.get("chdir") or os.getcwd()
        if str(self.place[0]) == os.environ.get("FLOW_NODE_RANK", "0"):
            self._here({**env, **self._own}, cwd, source)
        else:
            self._there(env, cwd)

    def _here(self, env: Dict[str, str], cwd: str, source: Input) -> None:
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
                pump(self._process.stdout, self._writer(out)),
                pump(self._process.stderr, self._writer(err)),
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
        for one in self._pumps:
            one.join(2.0)
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


def _environment(export: str) -> Dict[str, str]:
    words = [word for word in export.split(",") if word]
    given = dict(word.split("=", 1) for word in words if "=" in word)
    if "ALL" in words:
        return {**os.environ, **given}
    kept = {name: value for name, value in os.environ.items() if name.startswith(("SLURM_", "FLOW_")) or name in words}
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **kept, **given}
