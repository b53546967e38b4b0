"""Many tasks that differ only in what they run, as one job array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from flow_core import Submission

MOST = 1000  # Slurm's MaxArraySize is 1001 unless it is set
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
SCRIPT = """\
#!/bin/sh
task=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {folder}/tasks) || exit 125
exec /bin/sh {root}/"$task"/script
"""
# $1 root, $2 the array's folder, $3 its job
NAME_ALL = (
    'n=0; while read -r t; do [ -s "$1/$t/job" ] || echo "${3}_$n" >"$1/$t/job" || exit 73; '
    'n=$((n + 1)); done <"$2/tasks"'
)


def name(request_ids: Iterable[str]) -> str:
    """Return the name of the array of these requests, which has the form of a request id; the same each time."""
    number = int.from_bytes(sha256("\n".join(request_ids).encode()).digest()[:17], "big")
    return "flow-" + "".join(_LETTERS[number >> 5 * place & 31] for place in range(26))


def groups(submissions: Sequence[tuple[Submission, tuple[str, ...]]]) -> Iterator[list[Submission]]:
    """Yield those together that ask the same of Slurm, a thousand at most."""
    alike: dict[tuple[str, ...], list[Submission]] = {}
    for submission, wanted in submissions:
        alike.setdefault(wanted, []).append(submission)
    for found in alike.values():
        for at in range(0, len(found), MOST):
            yield found[at : at + MOST]
