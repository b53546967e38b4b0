"""The names of tasks: the job's id, and the request it was submitted for, which no later job of that id carries."""

from __future__ import annotations

import re

import attrs

from flow_core import TaskRef

_REF = re.compile(r"(\d+(?:_\d+)?)/(flow-[0-9a-z]{26})", re.ASCII)


@attrs.frozen
class Name:
    """``job`` is Slurm's id (``1234``, of an array ``1234_7``), ``request`` the request id."""

    job: str
    request: str

    @property
    def ref(self) -> TaskRef:
        """The reference that core keeps."""
        return TaskRef(f"{self.job}/{self.request}", {"job": self.job})


def parse(ref: TaskRef) -> Name | None:
    """Return what a reference names; None for one that is none of ours."""
    found = _REF.fullmatch(ref.id)
    return Name(found[1], found[2]) if found else None
