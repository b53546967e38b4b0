"""Answers in the shape of Slurm 22.05's ``--json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flow_slurm.commands.jobs import Job

_META = {
    "plugin": {"type": "openapi/v0.0.38", "name": "Slurm OpenAPI v0.0.38"},
    "Slurm": {"version": {"major": 22, "micro": 8, "minor": 5}, "release": "22.05.8"},
}


def _answer(name: str, items: Sequence[Any]) -> str:
    return json.dumps({"meta": _META, "errors": [], name: list(items)}, indent=2)


def squeue(jobs: Sequence[Job]) -> str:
    """Return what ``squeue --json`` says of jobs."""
    return _answer("jobs", [_queued(job) for job in jobs])


def _queued(job: Job) -> dict[str, Any]:
    import os

    row, config = job.task.row, job.task.config
    code, signal = job.exit_status
    is_array = job.index is not None
    planned = row.started_at + job.limit if row.started_at and job.limit else None
    return {
        "account": "",
        "accrue_time": int(row.created_at),
        "array_job_id": job.array if is_array else 0,
        "array_task_id": job.index,
        "array_max_tasks": 0,
        "array_task_string": "",
        "batch_flag": True,
        "batch_host": (job.nodes or ("",))[0],
        "cluster": "flow",
        "command": job.command,
        "comment": job.comment,
        "cpus": job.cpus,
        "cpus_per_task": None,
        "current_working_directory": job.folder,
        "dependency": job.dependency,
        "derived_exit_code": 0,
        "eligible_time": int(row.created_at),
        "end_time": int(row.ended_at or planned or 0),
        "excluded_nodes": "",
        "exit_code": code << 8 | signal,
        "features": "",
        "gres_detail": [],
        "group_id": os.getgid(),
        "job_id": job.number,
        "job_state": job.state,
        "licenses": "",
        "memory_per_node": None if config.resources.memory is None else config.resources.memory >> 20,
        "memory_per_cpu": None,
        "name": job.name,
        "nodes": job.node_list,
        "nice": None,
        "node_count": row.num_instances,
        "tasks": row.num_instances,
        "partition": job.partition,
        "priority": config.priority,
        "qos": "",
        "required_nodes": "",
        "requeue": config.max_preemptions != 0,
        "restart_cnt": max(0, row.attempt - 1),
        "standard_error": job.path("error"),
        "standard_input": job.path("input"),
        "standard_output": job.path("output"),
        "start_time": int(row.started_at or 0),
        "state_description": row.reason,
        "state_reason": job.reason,
        "submit_time": int(row.created_at),
        "time_limit": None if job.limit is None else int(job.limit // 60),
        "time_minimum": 0,
        "tres_req_str": "",
        "tres_alloc_str": "",
        "user_id": os.getuid(),
        "user_name": job.user,
        "wckey": "",
    }


def sacct(jobs: Sequence[Job]) -> str:
    """Return what ``sacct --json`` says of jobs."""
    return _answer("jobs", [_accounted(job) for job in jobs])


def _accounted(job: Job) -> dict[str, Any]:
    row = job.task.row
    code, signal = job.exit_status
    ended: dict[str, Any] = {"status": "SUCCESS" if not code and not signal else "ERROR", "return_code": code}
    if signal:
        ended = {"status": "SIGNALED", "return_code": 0, "signal": {"signal_id": signal, "name": ""}}
    return {
        "account": "",
        "comment": {"administrator": None, "job": job.comment or None, "system": None},
        "allocation_nodes": row.num_instances,
        "array": {"job_id": job.array if job.index is not None else 0, "task": None, "task_id": job.index},
        "association": {"account": "", "cluster": "flow", "partition": None, "user": job.user},
        "cluster": "flow",
        "derived_exit_code": {"status": "SUCCESS", "return_code": 0},
        "time": {
            "elapsed": int(job.elapsed),
            "eligible": int(row.created_at),
            "end": int(row.ended_at or 0),
            "start": int(row.started_at or 0),
            "submission": int(row.created_at),
            "suspended": 0,
            "limit": None if job.limit is None else int(job.limit // 60),
        },
        "exit_code": ended,
        "group": "",
        "job_id": job.number,
        "name": job.name,
        "nodes": job.node_list,
        "partition": job.partition,
        "priority": job.task.config.priority,
        "qos": "",
        "required": {"CPUs": job.cpus, "memory": (job.task.config.resources.memory or 0) >> 20},
        "state": {"current": job.state, "reason": job.reason},
        "steps": [],
        "user": job.user,
        "working_directory": job.folder,
    }


def sinfo(rows: Sequence[dict[str, Any]]) -> str:
    """Return what ``sinfo --json`` says of where tasks can run."""
    return _answer("nodes", rows)
