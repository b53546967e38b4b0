"""The journal, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core.journal._events import Events
from flow_core.journal._reconcile import Reconciliation
from flow_core.journal._reports import Reports
from flow_core.journal._resources import Resources
from flow_core.journal._submissions import Submissions
from flow_core.journal._tasks import Tasks

if TYPE_CHECKING:
    from types import TracebackType


class Journal(Submissions, Reports, Tasks, Reconciliation, Resources, Events):
    """Every task, submission, attempt, event, resource and upload of this user, in the SQLite file at ``path``.

    Opened when first used, by any number of threads and processes at once; a forked child opens its own. All methods
    raise StateError when the file cannot be used (disk full, read-only, of a newer Flow) and TransientError when
    one other process kept it busy for more than 30 seconds; then nothing of the call was recorded. A damaged file is set
    aside by rename: see ``quarantined``. Times are UTC seconds.
    """

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
