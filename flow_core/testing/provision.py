"""Provisioning: submit, find, status, cancel; the heart of a provider (``docs/behaviour/provision.md``)."""

from __future__ import annotations

from typing import ClassVar

from flow_core.testing._cancelling import Cancelling
from flow_core.testing._ending import Ending
from flow_core.testing._ranks import Ranks
from flow_core.testing._submitting import Submitting
from flow_core.testing._surroundings import Surroundings


class ProvisionContract(Surroundings, Ranks, Cancelling, Ending, Submitting):  # pytest begins with the last
    """Scenarios P01 to P67. ``provider`` names the provider."""

    claims: ClassVar[frozenset[str]] = frozenset(
        {
            "flow_provision_submit",
            "flow_provision_find",
            "flow_provision_status",
            "flow_provision_cancel",
            "flow_provider_facts",
            "flow_provision_check",
            "flow_provision_offers",
            "flow_provision_preview",
            "flow_provision_submit_many",
            "flow_provision_release",
            "flow_provision_queue",
            "flow_provider_checks",
            "flow_provision_list",
            "flow_resource_list",
            "flow_resource_delete",
            "flow_node_access",
        }
    )
