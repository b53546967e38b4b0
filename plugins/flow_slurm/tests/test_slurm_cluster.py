"""The cluster that all other tests stand on."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import psutil

from .cluster import Cluster


def test_a_job_runs_and_its_exit_code_is_seen(cluster: Cluster) -> None:
    job = cluster.submit("exit 3", "--output=/dev/null")
    cluster.until(lambda: cluster.job(job)["JobState"] == "FAILED", "the job does not end")
    assert cluster.job(job)["ExitCode"] == "3:0"


def test_a_job_gets_the_gpus_it_asks_for(cluster: Cluster) -> None:
    job = cluster.submit("echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES", "--gres=gpu:h100:2", "--output=said")
    cluster.until(lambda: cluster.job(job)["JobState"] == "COMPLETED", "the job does not end")
    assert (cluster.shared / "said").read_text() == "node3 0,1\n"


def test_accounting_and_rest_answer_where_they_are_wanted(full_cluster: Cluster) -> None:
    job = full_cluster.submit("true", "--comment=word", "--output=/dev/null")
    full_cluster.until(lambda: "COMPLETED" in full_cluster.ask("sacct", "-n", "-X", "-j", job), "sacct knows nothing")
    headers = {"X-SLURM-USER-NAME": "root", "X-SLURM-USER-TOKEN": full_cluster.token()}
    request = urllib.request.Request(full_cluster.rest_url + "/slurm/v0.0.38/ping", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["pings"][0]["ping"] == "UP"


def of(folder: str) -> Iterator[str]:
    """The processes that know of a folder."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            words += [file.path for file in process.open_files()]
            if process.pid != os.getpid() and any(folder in word for word in words):
                yield f"{process.pid} {process.name()} {process.cmdline()}"


def test_a_stopped_cluster_leaves_no_process(own_cluster: Cluster) -> None:
    job = own_cluster.submit("srun sleep 301 & setsid sleep 302 & touch begun; wait", "--output=/dev/null")
    own_cluster.until(lambda: (own_cluster.shared / "begun").exists(), "the job does not begin")
    own_cluster.until(
        lambda: f"{job}.0" in own_cluster.ask("squeue", "-h", "-s", "-o", "%i"), "the step does not begin"
    )
    own_cluster.stop()
    assert not list(of(str(own_cluster.folder)))
