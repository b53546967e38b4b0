"""The journal: what this user asked for, who was told, and what became of it, in one SQLite file that outlives kills.

Any number of processes may use one journal at once. It knows no provider and calls no hook: the client drives it.
"""

from flow_core.journal._journal import Journal
from flow_core.journal._rows import (
    AttemptChange,
    Change,
    EventRow,
    KeepingRow,
    NewSubmission,
    NewTask,
    ResourceRow,
    SubmissionRow,
    TaskRow,
    UploadRow,
)

__all__ = [
    "AttemptChange",
    "Change",
    "EventRow",
    "Journal",
    "KeepingRow",
    "NewSubmission",
    "NewTask",
    "ResourceRow",
    "SubmissionRow",
    "TaskRow",
    "UploadRow",
]
