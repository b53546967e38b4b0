"""The batch script of a task: it finds a Python and starts the runner on every node."""

from __future__ import annotations

import shlex

from flow_core import Submission

_MINORS = " ".join(f"python3.{minor}" for minor in range(14, 7, -1))
_PYTHONS = f"python3 {_MINORS} /usr/libexec/platform-python"
_LOOK = """\
import sys
if sys.version_info < (3, 8): sys.exit(1)
import socket
def address(name):
    try: return socket.gethostbyname(name)
    except OSError: return name
print(','.join(map(address, sys.argv[1:])), sys.executable)"""
# $1 the Python that is wanted, or nothing; hosts: names. Sets q, the interpreter itself behind what a version manager
# puts on PATH, and ips. No interpreter that is older can read the runner.
FIND_PYTHON = (
    f'for p in ${{1:-{_PYTHONS}}}; do said=$("$p" -I -S -c {shlex.quote(_LOOK)} $hosts 2>/dev/null) && break; said=; done; '
    "q=${said#* } ips=${said%% *}"
)

_BODY = """\
umask 077
cd {folder} || exit 125
job=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
[ -s job ] || {{ echo "${{job:-$SLURM_JOB_ID}}" >.job.$$ && mv -f .job.$$ job; }}
hosts=$SLURM_JOB_NODELIST
[ "$SLURM_JOB_NUM_NODES" = 1 ] || hosts=$(scontrol show hostnames "$hosts")
set -- {python}
{find}
[ -n "$q" ] || {{ echo "flow: no Python 3.8 or newer on $(hostname)" >&2; exit 125; }}
{limit}FLOW_NODE_IPS=$ips
FLOW_RUNNER_MASTER=${{ips%%,*}}
FLOW_RUNNER_RUN=$SLURM_JOB_ID.${{SLURM_RESTART_COUNT:-0}}
export FLOW_NODE_IPS FLOW_RUNNER_MASTER FLOW_RUNNER_RUN
trap : TERM INT HUP
for n in USR1 USR2; do trap "pass $n" $n; done
pass() {{ read -r p <script.pid && [ -n "$p" ] && kill -"$1" "$p"; }} 2>/dev/null
srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 ${{SLURM_CPUS_PER_TASK:+--cpus-per-task=$SLURM_CPUS_PER_TASK}} \\
    --kill-on-bad-exit=1 --overlap --unbuffered --input=none "$q" -I -S {runner} run "$PWD" &
while wait $!; code=$?; [ $code -gt 128 ] && kill -0 $! 2>/dev/null; do :; done
{requeue}exit $code
"""
# A job that ends within the grace of a preemption is over for Slurm: it has to ask for its next start by itself.
_REQUEUE = """\
if [ ! -e final.json ] && scontrol show job -o "$SLURM_JOB_ID" | grep -q "JobState=RUNNING .* PreemptTime=[0-9]"; then
    scontrol requeue "$SLURM_JOB_ID"
fi
"""
_LIMIT = '[ "${{SLURM_RESTART_COUNT:-0}}" -lt {count} ] || scontrol update JobId="$SLURM_JOB_ID" Requeue=0\n'


def write(submission: Submission, folder: str, runner: str, python: str | None) -> str:
    """Return the script of a task: ``folder`` is its own, ``runner`` the runner's folder, ``python`` the one to use."""
    most = submission.config.max_preemptions
    body = _BODY.format(
        folder=shlex.quote(folder),
        python=shlex.quote(python) if python else "",
        find=FIND_PYTHON,
        limit=_LIMIT.format(count=most) if most else "",
        runner=shlex.quote(runner),
        requeue="" if most == 0 else _REQUEUE,
    )
    return f"#!/bin/sh\n# {submission.bundle.document['name']}: a task of Flow\n{body}"
