"""Other tools that call Python functions in processes of this machine, beside Flow: the programs for ``peers``.

``one()`` calls a function that does nothing and waits; ``many(count)`` maps it. Flow, submitit and executorlib (by
default) start a process for a call; parsl and ray have a pool, which stands before the first measured call.
"""

from __future__ import annotations

from benchmarks.peers import Peer

ITEMS = 1_000

_FLOW = """
import flow_core as flow
def one(): assert flow.invoke(abs, args=[-1], stream=False) == 1
def many(count): assert list(flow.function(abs).map(range(count))) == list(range(count))
"""
_SUBMITIT = """
import tempfile, submitit
executor = submitit.AutoExecutor(tempfile.mkdtemp(), cluster="local")
executor.update_parameters(timeout_min=5)
def one(): assert executor.submit(abs, -1).result() == 1
def many(count): assert [job.result() for job in executor.map_array(abs, range(count))] == list(range(count))
"""
_EXECUTORLIB = """
import os
from executorlib import SingleNodeExecutor
cores = len(os.sched_getaffinity(0))
single = SingleNodeExecutor(max_workers=cores)
def one(): assert single.submit(abs, -1).result() == 1
def many(count):
    with SingleNodeExecutor(max_workers=cores, block_allocation=True) as pool:
        assert [f.result() for f in [pool.submit(abs, x) for x in range(count)]] == list(range(count))
def stop(): single.shutdown()
"""
_PARSL = """
import os, parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
cores = len(os.sched_getaffinity(0))
pool = HighThroughputExecutor(
    address="127.0.0.1", max_workers_per_node=cores, provider=LocalProvider(init_blocks=1, max_blocks=1))
parsl.load(Config(executors=[pool], run_dir=os.environ["TMPDIR"], usage_tracking=0))
app = parsl.python_app(abs)
def one(): assert app(-1).result() == 1
def many(count): assert [f.result() for f in [app(x) for x in range(count)]] == list(range(count))
def stop(): parsl.dfk().cleanup()
"""
_RAY = """
import os
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
ray.init(num_cpus=len(os.sched_getaffinity(0)), include_dashboard=False, logging_level="ERROR")
app = ray.remote(lambda x: abs(x))
def one(): assert ray.get(app.remote(-1)) == 1
def many(count): assert ray.get([app.remote(x) for x in range(count)]) == list(range(count))
def stop(): ray.shutdown()
"""
FUNCTION_PEERS = (
    Peer("flow", _FLOW, together=ITEMS),
    Peer("submitit", _SUBMITIT, ("submitit",), together=20),
    Peer("executorlib", _EXECUTORLIB, ("executorlib",), together=ITEMS),
    Peer("parsl", _PARSL, ("parsl",), together=ITEMS),
    Peer("ray", _RAY, ("ray",), together=ITEMS),
)
