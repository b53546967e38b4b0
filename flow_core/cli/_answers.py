"""JSON Schemas of what each command puts into ``data``. Fields may be added to an answer; none changes or goes away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flow_core.types import FINAL_STATES, LIVE_STATES

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer"}
_YES_NO: Schema = {"type": "boolean"}
_STATE: Schema = {"enum": sorted(LIVE_STATES | FINAL_STATES)}
_TIME: Schema = {"type": ["number", "null"], "description": "UTC seconds"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_MAYBE_COUNT: Schema = {"type": ["integer", "null"]}
_MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
_ANYTHING: Schema = {}


def _object(fields: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": dict(fields), "required": required}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


ERROR: Schema = {
    "anyOf": [
        {"type": "null"},
        _object({"code": _TEXT, "message": _TEXT, "hint": _TEXT, "details": {"type": "object"}}),
    ]
}

_ENDING = {"status": _STATE, "exit_code": _MAYBE_COUNT, "signal": _MAYBE_COUNT, "reason": _TEXT}
_SPAN = {"started_at": _TIME, "ended_at": _TIME}
_NODE = _object(
    {
        "rank": _COUNT,
        **_ENDING,
        **_SPAN,
        "name": _MAYBE_TEXT,
        "address": _MAYBE_TEXT,
        "ready": _YES_NO,
        "signal_inferred": _YES_NO,
    }
)
_ATTEMPT = _object({"number": _COUNT, **_ENDING, **_SPAN, "nodes": _list(_NODE)})
_TASK = {
    "id": _TEXT,
    "name": _TEXT,
    "provider": _TEXT,
    "profile": _TEXT,
    "status": _STATE,
    "exit_code": _MAYBE_COUNT,
    "reason": _TEXT,
    "ready": _YES_NO,
    "created_at": {"type": "number", "description": "UTC seconds"},
    **_SPAN,
    "cancel_requested_at": _TIME,
    "instance_type": _MAYBE_TEXT,
    "num_instances": _COUNT,
    "attempt": _COUNT,
    "labels": {"type": "object", "additionalProperties": _TEXT},
    "ref": _MAYBE_TEXT,
    "nodes": _list(_NODE),
}
_RESULTS = _object(
    {
        "store": _TEXT,
        "phase": {"enum": ["open", "kept", "gone"]},
        "files": _COUNT,
        "bytes": _COUNT,
        "error": _TEXT,
    }
)
_MORE = {"attempts": _list(_ATTEMPT), "results": {"anyOf": [_RESULTS, {"type": "null"}]}}
_ROW = _object({**_TASK, **_MORE}, optional=tuple(_MORE))
_DETAIL = _object({**_TASK, **_MORE})
_CHUNK = _object(
    {
        "task": _TEXT,
        "attempt": _COUNT,
        "node": _COUNT,
        "stream": {"enum": ["stdout", "stderr", "both", "system"]},
        "offset": {"type": "integer", "description": "bytes before this in the stream"},
        "size": {"type": "integer", "description": "bytes of the stream that this stands for"},
        "time": _TIME,
        "gap": {"type": "integer", "description": "bytes known to be lost before this"},
        "text": {"type": "string", "description": "where the bytes are UTF-8"},
        "base64": {"type": "string", "description": "where they are not"},
    },
    optional=("text", "base64"),
)
_PROBLEM = _object(
    {
        "path": _TEXT,
        "code": _TEXT,
        "message": _TEXT,
        "hint": _TEXT,
        "severity": {"enum": ["error", "warning"]},
        "file": _MAYBE_TEXT,
        "line": _MAYBE_COUNT,
        "column": _MAYBE_COUNT,
    }
)
_PLAN = _object(
    {
        "dry_run": {"const": True},
        "name": _TEXT,
        "provider": _TEXT,
        "profile": _TEXT,
        "config": {"type": "object"},
        "price_per_hour": {"type": ["number", "null"], "description": "USD per node and hour"},
        "total_price_per_hour": _MAYBE_NUMBER,
        "code": {"type": "object"},
        "unchecked": _list(_TEXT),
        "warnings": _list(_PROBLEM),
        "preview": {"type": "object", "additionalProperties": _TEXT},
    }
)
_OFFER = _object(
    {
        "instance_type": _TEXT,
        "gpu": _TEXT,
        "gpu_count": _COUNT,
        "gpu_memory": _MAYBE_COUNT,
        "cpus": {"type": "number"},
        "memory": _COUNT,
        "region": _MAYBE_TEXT,
        "spot": _YES_NO,
        "price_per_hour": _MAYBE_NUMBER,
        "available": _MAYBE_COUNT,
        "total": _MAYBE_COUNT,
        "wait_seconds": _MAYBE_NUMBER,
        "note": _TEXT,
    }
)
_QUEUED = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "status": {"enum": ["running", "pending"]},
        "place": _MAYBE_COUNT,
        "priority": _COUNT,
        "cpus": {"type": "number"},
        "memory": _COUNT,
        "gpus": _COUNT,
        "gpu_ids": _list(_TEXT),
        "created_at": _TIME,
        "started_at": _TIME,
        "reason": _TEXT,
        "ref": _TEXT,
    }
)
_GPU = _object(
    {
        "id": _TEXT,
        "kind": _TEXT,
        "name": _TEXT,
        "memory": _COUNT,
        "used": _COUNT,
        "percent": _MAYBE_NUMBER,
        "user": _TEXT,
    }
)
_USE = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "profile": _TEXT,
        "machines": _COUNT,
        "cores": {"type": "number", "description": "in use, on average since the last look"},
        "cpu_seconds": {"type": "number"},
        "memory": {"type": "integer", "description": "bytes"},
        "processes": _COUNT,
        "gpus": _list(_GPU),
        "started_at": _TIME,
    }
)
_SWEEP = _object(
    {
        "store": _TEXT,
        "tasks": _list(_TEXT),
        "objects": _COUNT,
        "freed": {"type": "integer", "description": "bytes"},
        "left": {"type": "integer", "description": "bytes"},
        "max_bytes": _MAYBE_COUNT,
        "error": _TEXT,
    }
)
_VOLUME = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "size_gb": _MAYBE_COUNT,
        "region": _MAYBE_TEXT,
        "kind": _TEXT,
        "state": _TEXT,
        "attached_to": _list(_TEXT),
        "created_at": _TIME,
        "encrypted": _YES_NO,
        "note": _TEXT,
    }
)
_RESOURCE = _object(
    {
        "id": _TEXT,
        "kind": _TEXT,
        "name": _TEXT,
        "created_at": _TIME,
        "price_per_hour": _MAYBE_NUMBER,
        "task_id": _MAYBE_TEXT,
    }
)
_IDENTITY = _object({"user": _TEXT, "account": _MAYBE_TEXT, "expires_at": _TIME, "detail": {"type": "object"}})
_PLUGIN = {
    "kind": _TEXT,
    "name": _TEXT,
    "distribution": _TEXT,
    "version": _TEXT,
    "requires_core": _TEXT,
    "entry_point": _TEXT,
    "problem": _TEXT,
    "summary": _TEXT,
}
_FINDING = _object({"name": _TEXT, "status": {"enum": ["ok", "warning", "error"]}, "message": _TEXT, "mend": _TEXT})
_ORIGIN = _object({"layer": _TEXT, "file": _MAYBE_TEXT, "line": _MAYBE_COUNT, "column": _MAYBE_COUNT, "name": _TEXT})

ANSWERS: Mapping[str, Schema] = {
    "run": {"anyOf": [_DETAIL, _PLAN, _list(_DETAIL), _list(_PLAN)], "description": "lists where a file holds several"},
    "status": {"anyOf": [_list(_ROW), _ROW], "description": "all rows; with --watch one changed row per line"},
    "queue": _list(_QUEUED),
    "top": _list(_USE),
    "logs": {"anyOf": [_list(_CHUNK), _CHUNK], "description": "all chunks; with --follow one per line"},
    "wait": _list(_DETAIL),
    "cancel": _list(_DETAIL),
    "cp": _object({"source": _TEXT, "target": _TEXT, "bytes": _COUNT}),
    "artifacts.list": _list(
        _object({"path": _TEXT, "bytes": _COUNT, "mode": _COUNT, "sha256": _MAYBE_TEXT, "rank": _MAYBE_COUNT})
    ),
    "artifacts.get": _list(_object({"path": _TEXT, "bytes": _COUNT, "file": _TEXT})),
    "artifacts.rm": _object({"id": _TEXT, "removed": _YES_NO}),
    "gc": _list(_SWEEP),
    "forward": _object({"host": _TEXT, "port": _COUNT, "node": _COUNT}),
    "retry": _object({**_TASK, **_MORE, "retry_of": _TEXT}),
    "offers": _list(_OFFER),
    "volume.attach": _VOLUME,
    "volume.create": _VOLUME,
    "volume.list": _list(_VOLUME),
    "volume.show": _VOLUME,
    "volume.snapshot": _VOLUME,
    "volume.delete": _object({"id": _TEXT, "name": _TEXT, "deleted": _YES_NO}),
    "machines.list": _list(_object({"profile": _TEXT, "resources": _list(_RESOURCE), "error": _TEXT})),
    "machines.release": _list(_object({"id": _TEXT, "released": _YES_NO})),
    "login": _object({"stores": {"type": "object"}, "identity": {"anyOf": [_IDENTITY, {"type": "null"}]}}),
    "logout": _object({"forgotten": _list(_TEXT)}),
    "whoami": _IDENTITY,
    "config.show": _list(_object({"key": _TEXT, "value": _ANYTHING, "origin": _ORIGIN})),
    "config.set": _object({"key": _TEXT, "value": _ANYTHING, "file": _TEXT}),
    "config.path": _object(dict.fromkeys(("config_dir", "state_dir", "cache_dir", "config_file"), _TEXT)),
    "secret.set": _object({"name": _TEXT, "store": _TEXT}),
    "secret.list": _list(_object({"name": _TEXT, "store": _TEXT})),
    "secret.delete": _object({"name": _TEXT, "deleted": _YES_NO}),
    "plugins.list": _list(_object(_PLUGIN)),
    "plugins.show": _list(
        _object({**_PLUGIN, "hooks": _list(_TEXT), "settings": {"type": "object"}, "wrappers": _list(_TEXT)})
    ),
    "plugins.new": _object({"path": _TEXT, "files": _list(_TEXT)}),
    "plugins.doctor": _list(_FINDING),
    "doctor": _list(_FINDING),
    "schema": {"type": "object"},
    "completion": _object({"shell": _TEXT, "script": _TEXT}),
}
"""Command -> schema of its ``data``; null there when ``error`` is not."""
