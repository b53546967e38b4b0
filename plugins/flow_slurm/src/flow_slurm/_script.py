"""The batch script of a task: it finds a Python and starts the runner on every node."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from flow_core import Submission

_MINORS = " ".join(f"python3.{minor}" for minor in range(14, 7, -1))
_PYTHONS = f"python3 {_MINORS} /usr/libexec/platform-python"
# $1 the Python that is wanted, or nothing. No interpreter that is older can read the runner.
FIND_PYTHON = (
    f'for p in ${{1:-{_PYTHONS}}}; do q=$(command -v "$p") && '
    '"$q" -c "import sys; sys.exit(sys.version_info < (3, 8))" >/dev/null 2>&1 && break; q=; done'
)
_ADDRESSES = (
    "import socket, sys\n"
    "def address(name):\n"
    "    try: return socket.gethostbyname(name)\n"
    "    except OSError: return name\n"
    "print(','.join(map(address, sys.argv[1:])))"
)

_BODY = """\
umask 077
cd {folder} || exit 125
job=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
[ -s job ] || {{ echo "${{job:-$SLURM_JOB_ID}}" >.job.$$ && mv -f .job.$$ job; }}
set -- {python}
{find}
[ -n "$q" ] || {{ echo "flow: no Python 3.8 or newer on $(hostname)" >&2; exit 125; }}
{limit}hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
FLOW_NODE_IPS=$("$q" -I -S -c {addresses} $hosts)
FLOW_RUNNER_MASTER=${{FLOW_NODE_IPS%%,*}}
FLOW_RUNNER_RUN=$SLURM_JOB_ID.${{SLURM_RESTART_COUNT:-0}}
export FLOW_NODE_IPS FLOW_RUNNER_MASTER FLOW_RUNNER_RUN
exec srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 ${{SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}} \\
    --kill-on-bad-exit=1 --overlap --unbuffered --input=none "$q" -I -S {runner} run "$PWD"
"""
_LIMIT = '[ "${{SLURM_RESTART_COUNT:-0}}" -lt {count} ] || scontrol update JobId="$SLURM_JOB_ID" Requeue=0\n'


def write(submission: Submission, runner: str, python: str | None, folders: Sequence[str]) -> str:
    """Return the script of one task in its folder, or of an array whose elements are the tasks of ``folders``."""
    most = submission.config.max_preemptions
    body = _BODY.format(
        folder=_folder(folders),
        python=shlex.quote(python) if python else "",
        find=FIND_PYTHON,
        limit=_LIMIT.format(count=most) if most else "",
        addresses=shlex.quote(_ADDRESSES),
        runner=shlex.quote(runner),
    )
    return f"#!/bin/sh\n# {submission.bundle.document['name']}: a task of Flow\n{body}"


def _folder(folders: Sequence[str]) -> str:
    if len(folders) == 1:
        return shlex.quote(folders[0])
    raise NotImplementedError
