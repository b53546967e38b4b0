"""What a profile of this provider may set."""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.frozen
class LocalSettings:
    """Settings of the provider ``local``; every one has a default that needs no thought."""

    root: Path | None = attrs.field(
        default=None, metadata={"help": "Folder that holds tasks and volumes; default: `local` in Flow's state folder."}
    )
    max_tasks: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(attrs.validators.ge(1)),
        metadata={
            "help": "Most tasks at once; default: no limit but 4 per core for those that claim no CPUs, memory or GPUs."
        },
    )
    container_engine: str | None = attrs.field(
        default=None,
        metadata={
            "help": "What runs images: podman, docker, apptainer, or a path; default: the first of these that works."
        },
    )
    snapshot_copies: bool = attrs.field(
        default=False,
        metadata={
            "help": "Snapshots of volumes copy the bytes where the file system cannot share them; else they are refused."
        },
    )
    pass_env: tuple[str, ...] = attrs.field(
        default=(), converter=tuple, metadata={"help": "More variables of the submitting shell that tasks see."}
    )
