"""Where the results of a task that is about to be submitted go, and what its machine needs for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from flow_core.client._keeping import is_shared, store_of
from flow_core.errors import CapabilityError

if TYPE_CHECKING:
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session
    from flow_core.results._tickets import Leave
    from flow_core.types import Bundle, Submission

KINDS = ("artifact", "result", "log")


@attrs.frozen
class Arrangement:
    """Where one task's results go, which kinds, how long its machine waits for the store (seconds), and its tickets."""

    store: str
    kinds: tuple[str, ...]
    wait: float
    leave: Leave | None

    def completed(self, bundle: Bundle) -> Bundle:
        """Return the bundle with what the runner must know; the tickets travel with the secrets."""
        document = {**bundle.document, "keep": {"kinds": list(self.kinds), "wait": self.wait}}
        if self.leave is None:
            return attrs.evolve(bundle, document=document)
        from flow_core.results._tickets import SECRET
        from flow_core.types import SecretBox

        box = SecretBox({**bundle.secrets.values, SECRET: self.leave.text})
        return attrs.evolve(bundle, document=document, secrets=box)


def arrange(session: Session, plan: Plan, task_id: str) -> Arrangement | None:
    """Find out where a task's results go, and ask for the tickets. None where they stay on its node."""
    config, facts = plan.config, plan.provider.facts
    store = store_of(config, plan.profile)
    if store is None:
        return None
    from flow_core.results._tickets import leave

    chosen = config.result_store or plan.profile.result_store
    # What is run here is kept here, with its logs: only what would be overwritten needs a copy.
    kinds = KINDS if chosen or not facts.shares_client_files else KINDS[:1]
    shared = is_shared(session, plan.provider, store)
    given = leave(session.result_store(store), task_id, config, shared)
    return Arrangement(store, kinds, session.settings.result_store(store).store.wait, given)


def with_start(session: Session, plan: Plan, kept: Arrangement, submission: Submission) -> Submission:
    """Have the task's machine fetch all of it from the store, where the provider asks for that and the store can."""
    if not plan.provider.facts.starts_from_store or kept.leave is None or plan.config.num_instances > 1:
        return submission
    from flow_core.results import prepare_start, publish_code
    from flow_core.results._tickets import lifetime

    store, seconds = session.result_store(kept.store), lifetime(plan.config)
    try:
        start = prepare_start(store, submission.task_id, seconds)
    except CapabilityError:
        return submission
    return attrs.evolve(publish_code(store, submission, seconds), start=start)
