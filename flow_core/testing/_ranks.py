"""P40-P46: several nodes."""

from __future__ import annotations

import pytest

from flow_core.errors import ConfigError, FlowError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract

_SHOW = (
    'echo "$FLOW_NODE_RANK $NODE_RANK $RANK $LOCAL_RANK $FLOW_NUM_NODES $NNODES $WORLD_SIZE";'
    ' echo "$MASTER_ADDR:$MASTER_PORT"; echo "$FLOW_NODE_IPS" | tr , "\\n" | wc -l | tr -d " "'
)


class Ranks(Contract):
    """Ranks, their variables, and one failing for all."""

    def test_p40_one_node_is_rank_0_of_1(self, bench: Bench) -> None:
        numbers, master, addresses = bench.lines(_SHOW)
        assert numbers.split() == ["0", "0", "0", "0", "1", "1", "1"]
        host, _, port = master.rpartition(":")
        assert host
        assert 0 < int(port) < 65536
        assert addresses == "1"

    def test_p41_each_node_knows_its_rank_and_all_the_same_master(self, bench: Bench) -> None:
        self.need_fact(bench, "multi_node")
        task = bench.run(_SHOW, num_instances=2)
        assert task.status == "succeeded", task.reason
        said = [bench.output(task, rank=rank).decode().splitlines() for rank in (0, 1)]
        assert [lines[0] for lines in said] == ["0 0 0 0 2 2 2", "1 1 1 0 2 2 2"]
        assert said[0][1] == said[1][1]
        assert [lines[2] for lines in said] == ["2", "2"]

    def test_p42_every_node_is_reported(self, bench: Bench) -> None:
        self.need_fact(bench, "multi_node")
        task = bench.run("true", num_instances=2)
        found = [(node.rank, node.state, node.exit_code) for node in task.attempts[-1].nodes]
        assert found == [(0, "succeeded", 0), (1, "succeeded", 0)]

    def test_p43_a_failing_rank_stops_the_others_and_its_code_is_the_tasks(self, bench: Bench) -> None:
        self.need_fact(bench, "multi_node")
        command = 'if [ "$FLOW_NODE_RANK" = 1 ]; then exit 9; fi; sleep 60; echo never'
        task = bench.run(command, num_instances=2, grace=1.0)
        assert (task.status, task.exit_code) == ("failed", 9)
        assert bench.output(task, rank=0) == b""

    def test_p44_several_processes_of_a_node_have_ranks_of_their_own(self, bench: Bench) -> None:
        lines = bench.lines('echo "$RANK $LOCAL_RANK $WORLD_SIZE $FLOW_NODE_RANK"', processes_per_node=2)
        assert sorted(lines) == ["0 0 2 0", "1 1 2 0"]

    def test_p45_more_nodes_than_there_are_is_refused(self, bench: Bench) -> None:
        most = bench.provider.facts.max_nodes
        if bench.provider.facts.multi_node and most is None:
            pytest.skip(f"{self.plugin_name()} names no limit in its facts")
        with pytest.raises(ConfigError) as refused:
            bench.submit("true", num_instances=(most or 1) + 1)
        assert "num_instances" in {problem.path for problem in refused.value.problems}

    def test_p46_node_access_names_each_rank_once(self, bench: Bench) -> None:
        self.need(bench, "flow_node_access")
        count = 2 if bench.provider.facts.multi_node else 1
        task = bench.run("true", num_instances=count)
        try:
            nodes = bench.provider.node_access(bench.ref(task))
        except FlowError:
            return
        assert sorted(node.rank for node in nodes) in ([], list(range(count)))
        assert {node.kind for node in nodes} <= {"folder", "ssh", "none"}
        assert all(node.path.startswith("/") for node in nodes if node.kind == "folder")
        assert all(node.host for node in nodes if node.kind == "ssh")
