"""What came with a task that was read from a file: kept beside the journal, so that it can be submitted again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flow_core.errors import ConfigError
from flow_core.types import FrontendTask

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.types import TaskConfig

_KEPT_CALL = 1 << 20  # bytes


def keep(session: Session, task_id: str, task: FrontendTask | None) -> None:
    """Keep the frontend and the files of a task. Raises StateError when that cannot be written."""
    if task is None or not (task.frontend or _is_small_call(task)):
        return
    import json
    from base64 import b64encode

    from flow_core.secrets._private_file import write_private

    files = {name: b64encode(data).decode("ascii") for name, data in task.files.items()}
    content = {"frontend": task.frontend, "source": task.source, "files": files}
    write_private(_path(session, task_id), json.dumps(content).encode())


def recall(session: Session, task_id: str, config: TaskConfig) -> TaskConfig | FrontendTask:
    """Return ``config`` with what came with the task; the config alone where nothing did."""
    try:
        text = _path(session, task_id).read_bytes()
    except FileNotFoundError:
        if config.function is None:
            return config
        raise ConfigError(f"the arguments of {task_id} were not kept", "call the function again from Python") from None
    import json
    from base64 import b64decode

    content = json.loads(text)
    files = {name: b64decode(data) for name, data in content["files"].items()}
    return FrontendTask(config, files=files, source=content["source"], frontend=content["frontend"])


def _is_small_call(task: FrontendTask) -> bool:
    """Whether a function is called whose arguments are worth keeping a second time."""
    return task.config.function is not None and sum(map(len, task.files.values())) <= _KEPT_CALL


def _path(session: Session, task_id: str) -> Path:
    from flow_core.settings import paths

    return paths(session.environ).state_dir / "companions" / f"{task_id}.json"
