"""slurmrestd: the same questions over HTTP, with a token. The folders lie on a mount that this machine shares."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from flow_core import AuthError, CapabilityError, ConfigError, QuotaError, TransientError
from flow_core.http import Service
from flow_core.secrets import Credential
from flow_core.types import is_request_id
from flow_slurm import _rest_job
from flow_slurm._arrays import MOST
from flow_slurm._jobs import Job
from flow_slurm._machines import DOWN, Machines, Node, Partition, gpus
from flow_slurm._once import once
from flow_slurm._submit import LIMITS

if TYPE_CHECKING:
    import requests

_VERSIONS = ("v0.0.42", "v0.0.41", "v0.0.40", "v0.0.38", "v0.0.37")
_OLD = ("v0.0.37", "v0.0.38")
_REFUSALS = range(2000, 5000)  # slurm_errno.h: what slurmctld says no with; others are of the way there


class Rest:
    """One slurmrestd; ``environment`` is what jobs start with."""

    def __init__(self, url: str, token: Credential | None, environment: Mapping[str, str]) -> None:
        self._url, self._token, self._environment = url, token, environment
        self._service = Service(f"{url}/slurm", self._headers)

    def _headers(self) -> Mapping[str, str]:
        token = self._revealed
        return {"X-SLURM-USER-NAME": self._user, "X-SLURM-USER-TOKEN": token, "User-Agent": "flow-slurm"}

    @cached_property
    def version(self) -> str:
        """The newest form of its interface that we know. Raises CapabilityError where there is none."""
        for version in _VERSIONS:
            if self._send("GET", f"{version}/ping{'' if version in _OLD else '/'}").status_code != 404:
                return version
        text = f"{self._url} offers none of {', '.join(reversed(_VERSIONS))}"
        raise CapabilityError(text, "Slurm 21.08 to 25.11 have one of them; or use Slurm's commands over ssh")

    @property
    def _old(self) -> bool:
        return self.version in _OLD

    def jobs(self) -> str:
        """See :class:`flow_slurm._slurm.Slurm`: those of the token's user."""
        name = self._user
        mine = [one for one in self._get("jobs")["jobs"] if one.get("user_name", name) == name]
        mine.sort(key=lambda one: not one.get("array_task_string"))  # what an element says of itself counts
        return json.dumps([attrs.asdict(job) for one in mine for job in _jobs(one)])

    def machines(self) -> str:
        """See :class:`flow_slurm._slurm.Slurm`."""
        found = [_node(one) for one in self._get("nodes")["nodes"]]
        partitions = [_partition(one) for one in self._get("partitions")["partitions"]]
        return json.dumps(attrs.asdict(Machines(tuple(found), tuple(partitions))))

    def submit(self, folder: str, argv: Sequence[str]) -> str | None:
        """See :func:`flow_slurm._submit.submit`: the same files in the folder keep the same record."""
        script = Path(argv[-1]).read_text(encoding="utf-8")
        body = _rest_job.body(argv[2:-1], script, folder, self._environment, self._old)
        return once(folder, lambda _: str(self._ask("POST", "job/submit", body)["job_id"]))

    def cancel(self, job: str, started: bool) -> None:
        """See :class:`flow_slurm._slurm.Slurm`."""
        if started or any(one.id == job and one.state == "PENDING" for one in self._listed()):
            self._send("DELETE", f"{self.version}/job/{job}")

    def verdict(self, argv: Sequence[str]) -> str:  # noqa: ARG002 - the interface's form
        """See :class:`flow_slurm._slurm.Slurm`."""
        return f"slurmrestd {self.version} cannot test a job"

    def about(self) -> str:
        """See :class:`flow_slurm._slurm.Slurm`."""
        self._get("jobs")
        return f"slurmrestd answers as {self.version} for {self._user}"

    def _listed(self) -> list[Job]:
        return [Job(**one) for one in json.loads(self.jobs())]

    def _get(self, what: str) -> Any:
        return self._ask("GET", what if self._old else f"{what}/")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self._send(method, f"{self.version}/{path}", body)
        try:
            said = answer.json()
            errors = said.get("errors") or []
        except (ValueError, AttributeError):
            raise TransientError(f"slurmrestd answered {answer.status_code} and no JSON", "see `flow doctor`") from None
        # A job that is held is an error with the number of that job.
        if (errors or answer.status_code >= 400) and not said.get("job_id"):
            _refuse(answer.status_code, errors)
        return said

    def _send(self, method: str, path: str, body: object = None) -> requests.Response:
        answer = self._service.send(method, path, body=body)
        if answer.status_code in (401, 403):
            raise AuthError("slurmrestd refused the token", "make a new one with `scontrol token`, and set SLURM_JWT")
        return answer

    @property
    def _revealed(self) -> str:
        if self._token is None:
            raise AuthError("there is no token for slurmrestd", "set SLURM_JWT to what `scontrol token` prints")
        return self._token.reveal().removeprefix("SLURM_JWT=").strip()

    @property
    def _user(self) -> str:
        """The name that a token is for, which slurmrestd wants to be told as well."""
        try:
            part = self._revealed.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
            name, ends = str(claims["sun"]), float(claims.get("exp", math.inf))
        except (IndexError, ValueError, KeyError, TypeError):
            text = "the token for slurmrestd is none that Slurm made: it names no user"
            raise AuthError(text, "set SLURM_JWT to what `scontrol token` prints") from None
        if ends < time.time():
            raise AuthError("the token for slurmrestd has expired", "make a new one with `scontrol token`")
        return name


def _refuse(status: int, errors: Sequence[Mapping[str, Any]]) -> None:
    found = errors[0] if errors else {}
    number = found.get("error_code", found.get("error_number", 0)) or 0
    said = str(found.get("error") or found.get("description") or f"status {status}")
    if number not in _REFUSALS and status != 400:
        raise TransientError(f"slurmrestd cannot do this now, or not with this token: {said}", "see `flow doctor`")
    if LIMITS.search(said):
        raise QuotaError(f"Slurm refused the job: {said}", "ask for less, or wait until other jobs have ended")
    raise ConfigError(f"Slurm refused the job: {said}", "see what there is: flow offers")


def _number(value: Any) -> int | None:
    """A number of either form; None for one that is not set, or has no limit."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") else None
    return value if isinstance(value, int) and value >= 0 else None


def _time(value: Any) -> float | None:
    number = _number(value)
    return float(number) if number else None


def _state(value: Any) -> str:
    words = value if isinstance(value, list) else [value]
    return "COMPLETING" if "COMPLETING" in words else str(words[0])


def _exit_status(value: Any) -> int:
    if not isinstance(value, dict):
        return value or 0
    signal = _number(value["signal"].get("id", value["signal"].get("signal_id"))) or 0
    return (_number(value["return_code"]) or 0) << 8 | signal


def _jobs(one: Mapping[str, Any]) -> Iterator[Job]:
    """What waits of an array is one record: of ours each element is a task."""
    job, waiting = _job(one), str(one.get("array_task_string") or "")
    if not waiting or not is_request_id(job.comment):
        yield job
        return
    for element in _elements(waiting):
        yield attrs.evolve(job, id=f"{job.id}_{element}")


def _elements(text: str) -> Iterator[int]:
    """The numbers in "0-3,7%2"; of a text that is cut short ("0-3,7...") all that may follow as well.

    So a cancelled one of these waits in our eyes until the text is short enough; slurmrestd cuts at 64 letters.
    """
    numbers, cut, _ = text.partition("%")[0].partition("...")
    *ranges, last = numbers.split(",")
    end = -1
    for part in ranges if cut else [*ranges, last]:
        span, _, step = part.partition(":")
        first, _, to = span.partition("-")
        end = int(to or first)
        yield from range(int(first), end + 1, int(step or 1))
    if cut:
        yield from range(end + 1, MOST)


def _job(one: Mapping[str, Any]) -> Job:
    element = _number(one.get("array_task_id"))
    array = _number(one.get("array_job_id"))
    return Job(
        id=f"{array}_{element}" if array and element is not None else str(one["job_id"]),
        state=_state(one["job_state"]),
        exit_status=_exit_status(one["exit_code"]),
        restarts=_number(one["restart_cnt"]) or 0,
        start=_time(one["start_time"]),
        end=_time(one["end_time"]),
        submitted=_time(one["submit_time"]) or 0.0,
        reason=str(one.get("state_reason") or "None"),
        nodes=str(one.get("nodes") or ""),
        comment=str(one.get("comment") or ""),
    )


def _words(value: Any) -> list[str]:
    return value if isinstance(value, list) else [word for word in str(value or "").split(",") if word]


def _node(one: Mapping[str, Any]) -> Node:
    state = " ".join([*_words(one["state"]), *_words(one.get("state_flags"))]).upper()
    return Node(
        name=one["name"],
        up=not any(word in state for word in DOWN),
        cpus=one.get("effective_cpus") or one["cpus"],
        cpus_used=one["alloc_cpus"],
        memory=one["real_memory"] * 2**20,
        gpus=gpus(one["gres"] or ""),
        used=gpus(one["gres_used"] or ""),
        partitions=tuple(_words(one["partitions"])),
        features=tuple(_words(one["features"])),
    )


def _partition(one: Mapping[str, Any]) -> Partition:
    state = one["partition"]["state"] if "partition" in one else [one["state"]]
    most = one.get("maximums") or {"time": one.get("max_time_limit"), "nodes": one.get("maximum_nodes_per_job")}
    longest = _number(most["time"])
    return Partition(
        name=one["name"],
        is_default="default" in _words(one.get("flags")),
        up="UP" in state,
        max_time=None if longest is None else longest * 60.0,
        max_nodes=_number(most["nodes"]),
    )
