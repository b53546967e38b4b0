"""What Flow asks of a host plugin, asked of this one; and what it is for."""

import pytest

from flow_core import PolicyContext, TaskConfig
from flow_core.testing import WrapperContract
from flow_cost_guard import CostGuard


class TestCostGuard(WrapperContract):
    host_plugin = "cost-guard"


@pytest.mark.parametrize(("nodes", "refused"), [(4, False), (5, True)])
def test_the_cap_is_for_all_nodes_together(monkeypatch: pytest.MonkeyPatch, nodes: int, refused: bool) -> None:
    monkeypatch.setenv("FLOW_COST_CAP", "10")
    config = TaskConfig(command="true", num_instances=nodes)
    answer = CostGuard().flow_task_config(config, PolicyContext("acme", "acme", "2.50"))
    assert (answer is not None) == refused


def test_what_has_no_price_is_refused_unless_the_provider_is_free() -> None:
    config = TaskConfig(command="true")
    assert CostGuard().flow_task_config(config, PolicyContext("acme", "acme")) is not None
    assert CostGuard().flow_task_config(config, PolicyContext("local", "local")) is None
