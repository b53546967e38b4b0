"""The cluster that all other tests stand on."""

from __future__ import annotations

import json
import urllib.request

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
