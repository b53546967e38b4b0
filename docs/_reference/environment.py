"""The variables that a task finds, from the runner."""

from __future__ import annotations

from collections.abc import Mapping

from _reference.markdown import code, page, table
from flow_core.runner import bundle, environment

_INTRO = """
A task's environment is made from nothing: the variables that its provider lets through, the task's `env` and `secrets`,
and these. The names are the same on every provider.
"""
_MEANING = {
    "FLOW_TASK_ID": "the task's id",
    "FLOW_TASK_DIR": "the task's own folder on the node",
    "FLOW_ATTEMPT": "number of the attempt, from 1",
    "FLOW_NODE_RANK": "number of this node, from 0",
    "FLOW_NUM_NODES": "number of nodes",
    "FLOW_NODE_IPS": "addresses of the nodes in the order of their ranks, with commas",
    "FLOW_GPUS_PER_NODE": "GPUs of each node that are the task's",
    "MASTER_ADDR": "address of node 0",
    "MASTER_PORT": "a port that was free on node 0 when the attempt began",
    "NODE_RANK": "as `FLOW_NODE_RANK`",
    "NNODES": "as `FLOW_NUM_NODES`",
    "RANK": "number of this process among all, from 0",
    "WORLD_SIZE": "number of processes of all nodes",
    "LOCAL_RANK": "number of this process on its node, from 0",
}
_MORE = {
    "FLOW_PORT_<NAME>": "the port of that name, in upper case, `-` as `_`; `FLOW_PORT_MAIN` for one without a name",
    "CUDA_VISIBLE_DEVICES": "the GPUs that are the task's, where the provider gives them out",
}


def pages() -> Mapping[str, str]:
    """Return the page."""
    document = {"schema": bundle.SCHEMA, "task_id": "t", "request_id": "r", "command": {"shell": "true"}}
    task = bundle._bundle(document)
    place = environment.Place("127.0.0.1", 1, None)
    names = environment.environment("/nowhere", task, 1, 0, place).keys() - {"PATH", "HOME"}
    assert names == _MEANING.keys(), names ^ _MEANING.keys()
    rows = ((code(name), text) for name, text in {**_MEANING, **_MORE}.items())
    return {"environment.md": page("Variables of a task", _INTRO, table(("variable", "meaning"), rows))}
