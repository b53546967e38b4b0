"""Every option of sbatch (22.05, and those 24.11 adds): how it is written, and what becomes of it."""

from __future__ import annotations

from functools import cache

import attrs

NONE, REQUIRED, OPTIONAL = "none", "required", "optional"

MAPPED, EMULATED, MEANINGLESS, REFUSED, CLIENT = "mapped", "emulated", "meaningless", "refused", "client"
PASSED = "passed on"
"""What becomes of an option.

``mapped``: said in Flow's words. ``emulated``: kept by the files that travel with the script. ``meaningless``: there is
nothing of the kind, which is said once with name and line. ``refused``: leaving it out would change what the script
does. ``client``: it is for the submitting command alone. ``passed on``: the cluster's sbatch gets it as it is.
"""


@attrs.frozen
class Option:
    """One option; ``env`` is the variable that says the same, ``note`` what becomes of it or why it cannot be kept.

    ``fate`` is where there is no Slurm; ``slurm`` is on a cluster, where that is not plain from ``fate``.
    """

    name: str
    kind: str
    fate: str
    note: str
    short: str = ""
    aliases: tuple[str, ...] = ()
    env: str = ""
    slurm: str = ""

    @property
    def on_slurm(self) -> str:
        """What becomes of it on a cluster."""
        return self.slurm or (PASSED if self.fate in (MEANINGLESS, REFUSED) else self.fate)

    @property
    def dashed(self) -> str:
        """The name as users write it."""
        return f"--{self.name}"


_PLACE = "where tasks sit on cores and sockets is the machine's own business"
_QUEUE = "a wish to one cluster's scheduler"
_NODES = "names nodes of one cluster"
_SHAPE = "the shape of a cluster's nodes"
_COUNTS = "kept by `srun` inside the task"

OPTIONS: tuple[Option, ...] = (
    Option("job-name", REQUIRED, MAPPED, "`name`; SLURM_JOB_NAME and `%x` keep it letter for letter", "J", env="SBATCH_JOB_NAME"),
    Option("time", REQUIRED, MAPPED, "`time_limit`, rounded up to a minute", "t", env="SBATCH_TIMELIMIT"),
    Option("output", REQUIRED, EMULATED, "written where sbatch writes it; the log is Flow's too", "o", env="SBATCH_OUTPUT"),
    Option("error", REQUIRED, EMULATED, "as `--output`, for stderr alone", "e", env="SBATCH_ERROR"),
    Option("input", REQUIRED, EMULATED, "the script's stdin; default /dev/null", "i", env="SBATCH_INPUT"),
    Option("open-mode", REQUIRED, EMULATED, "`append` or `truncate` the output files", env="SBATCH_OPEN_MODE"),
    Option("cpus-per-task", REQUIRED, MAPPED, "`cpus`, times the tasks of a node", "c"),
    Option("nodes", REQUIRED, MAPPED, "`num_instances`; of MIN-MAX the smaller", "N"),
    Option("ntasks", REQUIRED, MAPPED, f"`cpus`; {_COUNTS}", "n", aliases=("tasks",)),
    Option("ntasks-per-node", REQUIRED, MAPPED, f"`cpus` and, without `--nodes`, `num_instances`; {_COUNTS}", aliases=("tasks-per-node",)),
    Option("ntasks-per-gpu", REQUIRED, MAPPED, f"`cpus`; {_COUNTS}"),
    Option("overcommit", NONE, MAPPED, "tasks do not count for `cpus`", "O", env="SBATCH_OVERCOMMIT", slurm=PASSED),
    Option("mem", REQUIRED, MAPPED, "`memory`; 0 claims nothing, but all of a node on a cluster", env="SBATCH_MEM_PER_NODE"),
    Option("mem-per-cpu", REQUIRED, MAPPED, "`memory`, times the CPUs of a node", env="SBATCH_MEM_PER_CPU"),
    Option("mem-per-gpu", REQUIRED, MAPPED, "`memory`, times the GPUs of a node", env="SBATCH_MEM_PER_GPU"),
    Option("tmp", REQUIRED, MAPPED, "`disk`"),
    Option("gres", REQUIRED, MAPPED, "`gpu` of each node; other resources are a cluster's, but for tmp", env="SBATCH_GRES"),
    Option("gpus", REQUIRED, MAPPED, "`gpu`, shared evenly by the nodes, else refused", "G", env="SBATCH_GPUS"),
    Option("gpus-per-node", REQUIRED, MAPPED, "`gpu` of each node", env="SBATCH_GPUS_PER_NODE"),
    Option("gpus-per-task", REQUIRED, MAPPED, "`gpu`, times the tasks of a node", env="SBATCH_GPUS_PER_TASK"),
    Option("cpus-per-gpu", REQUIRED, MAPPED, "`cpus`, times the GPUs of a node", env="SBATCH_CPUS_PER_GPU"),
    Option("array", REQUIRED, MAPPED, "one task each; `%K` by having each wait for the K-th before it", "a", env="SBATCH_ARRAY_INX"),
    Option("dependency", REQUIRED, MAPPED, "`depends_on`: afterok, afterany, aftercorr, singleton; others are refused", "d"),
    Option("kill-on-invalid-dep", REQUIRED, MAPPED, "a task whose dependency failed always ends; `no` is said", slurm=PASSED),
    Option("chdir", REQUIRED, MAPPED, "`working_dir`", "D"),
    Option("nice", OPTIONAL, MAPPED, "`priority`, downwards", slurm=PASSED),
    Option("no-requeue", NONE, MAPPED, "`max_preemptions: 0`", env="SBATCH_NO_REQUEUE"),
    Option("requeue", NONE, MAPPED, "begins again after a preemption, as by default", env="SBATCH_REQUEUE"),
    Option("signal", REQUIRED, EMULATED, "sent so long before the limit, and at a preemption notice", env="SBATCH_SIGNAL"),
    Option("export", REQUIRED, EMULATED, "what the script names of the submitter's variables goes along; LIST: these", env="SBATCH_EXPORT"),
    Option("wrap", REQUIRED, EMULATED, "a script of one command; on the command line only"),
    Option("comment", REQUIRED, MAPPED, "the label `comment`"),
    Option("partition", REQUIRED, MEANINGLESS, "a queue of one cluster", "p", env="SBATCH_PARTITION"),
    Option("account", REQUIRED, MEANINGLESS, "an account of one cluster", "A", env="SBATCH_ACCOUNT"),
    Option("qos", REQUIRED, MEANINGLESS, "a quality of service of one cluster", "q", env="SBATCH_QOS"),
    Option("reservation", REQUIRED, MEANINGLESS, "a reservation on one cluster", env="SBATCH_RESERVATION"),
    Option("constraint", REQUIRED, MEANINGLESS, "names features of one cluster's nodes; `--gpu` names a GPU", "C", env="SBATCH_CONSTRAINT"),
    Option("prefer", REQUIRED, MEANINGLESS, "names features of one cluster's nodes"),
    Option("batch", REQUIRED, MEANINGLESS, "names features of one cluster's nodes", env="SBATCH_BATCH"),
    Option("cluster-constraint", REQUIRED, MEANINGLESS, "names features of clusters"),
    Option("clusters", REQUIRED, MEANINGLESS, "a profile names it", "M", aliases=("cluster",), env="SBATCH_CLUSTERS", slurm=MEANINGLESS),
    Option("nodelist", REQUIRED, MEANINGLESS, f"{_NODES}; how many these are counts everywhere", "w"),
    Option("nodefile", REQUIRED, MEANINGLESS, _NODES, "F"),
    Option("exclude", REQUIRED, MEANINGLESS, _NODES, "x"),
    Option("licenses", REQUIRED, MEANINGLESS, "licences that one cluster counts", "L"),
    Option("mail-type", REQUIRED, MEANINGLESS, "Flow sends no mail"),
    Option("mail-user", REQUIRED, MEANINGLESS, "Flow sends no mail"),
    Option("exclusive", OPTIONAL, MEANINGLESS, "whole machines: what else runs on them is the provider's to say", env="SBATCH_EXCLUSIVE"),
    Option("oversubscribe", NONE, MEANINGLESS, "what else runs on a machine is the provider's to say", "s"),
    Option("hint", REQUIRED, MEANINGLESS, _PLACE, env="SBATCH_HINT"),
    Option("distribution", REQUIRED, MEANINGLESS, _PLACE, "m", env="SBATCH_DISTRIBUTION"),
    Option("ntasks-per-core", REQUIRED, MEANINGLESS, _PLACE),
    Option("ntasks-per-socket", REQUIRED, MEANINGLESS, _PLACE),
    Option("threads-per-core", REQUIRED, MEANINGLESS, _PLACE, env="SBATCH_THREADS_PER_CORE"),
    Option("cores-per-socket", REQUIRED, MEANINGLESS, _SHAPE),
    Option("sockets-per-node", REQUIRED, MEANINGLESS, _SHAPE),
    Option("extra-node-info", REQUIRED, MEANINGLESS, _SHAPE, "B"),
    Option("gpus-per-socket", REQUIRED, REFUSED, "say --gpus-per-node"),
    Option("mincpus", REQUIRED, MAPPED, "`cpus`, at least so many"),
    Option("mem-bind", REQUIRED, MEANINGLESS, _PLACE, env="SBATCH_MEM_BIND"),
    Option("gpu-bind", REQUIRED, MEANINGLESS, _PLACE, env="SBATCH_GPU_BIND"),
    Option("gres-flags", REQUIRED, MEANINGLESS, _PLACE, env="SBATCH_GRES_FLAGS"),
    Option("gpu-freq", REQUIRED, MEANINGLESS, "the clock of the GPUs is the machine's own", env="SBATCH_GPU_FREQ"),
    Option("cpu-freq", REQUIRED, MEANINGLESS, "the clock of the CPUs is the machine's own"),
    Option("core-spec", REQUIRED, MEANINGLESS, _PLACE, "S", env="SBATCH_CORE_SPEC"),
    Option("thread-spec", REQUIRED, MEANINGLESS, _PLACE, env="SBATCH_THREAD_SPEC"),
    Option("contiguous", NONE, MEANINGLESS, _QUEUE),
    Option("spread-job", NONE, MEANINGLESS, _QUEUE, env="SBATCH_SPREAD_JOB"),
    Option("use-min-nodes", NONE, MEANINGLESS, _QUEUE, env="SBATCH_USE_MIN_NODES"),
    Option("switches", REQUIRED, MEANINGLESS, "the network of one cluster", env="SBATCH_REQ_SWITCH"),
    Option("segment", REQUIRED, MEANINGLESS, "the network of one cluster"),
    Option("network", REQUIRED, MEANINGLESS, "the network of one cluster", env="SBATCH_NETWORK"),
    Option("wait-all-nodes", REQUIRED, MEANINGLESS, "a task starts when all of its nodes are there", env="SBATCH_WAIT_ALL_NODES"),
    Option("priority", REQUIRED, MEANINGLESS, "a number of one cluster's scheduler; say --priority of flow run"),
    Option("time-min", REQUIRED, MEANINGLESS, "the limit is never shortened here"),
    Option("no-kill", OPTIONAL, MEANINGLESS, "a task whose node is lost is over", "k", env="SBATCH_NO_KILL"),
    Option("reboot", NONE, MEANINGLESS, "machines are not rebooted for a task"),
    Option("delay-boot", REQUIRED, MEANINGLESS, "machines are not rebooted for a task", env="SBATCH_DELAY_BOOT"),
    Option("acctg-freq", REQUIRED, MEANINGLESS, "accounting of one cluster", env="SBATCH_ACCTG_FREQ"),
    Option("profile", REQUIRED, MEANINGLESS, "accounting of one cluster", env="SBATCH_PROFILE"),
    Option("wckey", REQUIRED, MEANINGLESS, "accounting of one cluster", env="SBATCH_WCKEY"),
    Option("extra", REQUIRED, MEANINGLESS, "a text for one cluster's records"),
    Option("mcs-label", REQUIRED, MEANINGLESS, "security of one cluster"),
    Option("power", REQUIRED, MEANINGLESS, "power management of one cluster", env="SBATCH_POWER"),
    Option("propagate", OPTIONAL, MEANINGLESS, "the limits (ulimit) are the machine's own"),
    Option("get-user-env", OPTIONAL, MEANINGLESS, "say it with `--export`", env="SBATCH_GET_USER_ENV", slurm=MEANINGLESS),
    Option("resv-ports", OPTIONAL, MEANINGLESS, "ports of one cluster"),
    Option("stepmgr", NONE, MEANINGLESS, "steps are always managed on the node"),
    Option("oom-kill-step", OPTIONAL, MEANINGLESS, "memory is the provider's to guard"),
    Option("tres-bind", REQUIRED, MEANINGLESS, _PLACE),
    Option("begin", REQUIRED, REFUSED, "Flow starts tasks when it can; start it later with cron or at", "b"),
    Option("deadline", REQUIRED, REFUSED, "Flow cannot drop a task that would end too late"),
    Option("hold", NONE, REFUSED, "Flow has no held tasks: it would run at once", "H"),
    Option("export-file", REQUIRED, REFUSED, "name the variables with --export", slurm=REFUSED),
    Option("bb", REQUIRED, REFUSED, "the burst buffer's data would be missing"),
    Option("bbf", REQUIRED, REFUSED, "the burst buffer's data would be missing"),
    Option("container", REQUIRED, REFUSED, "an OCI bundle of one cluster; say --image", env="SBATCH_CONTAINER"),
    Option("container-id", REQUIRED, REFUSED, "a container of one cluster; say --image"),
    Option("tres-per-task", REQUIRED, REFUSED, "say the same with --cpus-per-task and --gpus-per-task", slurm=REFUSED),
    Option("uid", REQUIRED, REFUSED, "a task runs as who submits it", slurm=REFUSED),
    Option("gid", REQUIRED, REFUSED, "a task runs as who submits it", slurm=REFUSED),
    Option("wait", NONE, CLIENT, "`flow run` waits unless detached", "W", env="SBATCH_WAIT"),
    Option("parsable", NONE, CLIENT, "print the number alone"),
    Option("quiet", NONE, CLIENT, "say less", "Q"),
    Option("verbose", NONE, CLIENT, "say more", "v"),
    Option("test-only", NONE, CLIENT, "check, submit nothing; `flow run` refuses it: use --dry-run"),
    Option("ignore-pbs", NONE, CLIENT, "pass over #PBS and #BSUB lines", env="SBATCH_IGNORE_PBS"),
    Option("help", NONE, CLIENT, "refused in a script", "h"),
    Option("usage", NONE, CLIENT, "refused in a script"),
    Option("version", NONE, CLIENT, "refused in a script", "V"),
)  # fmt: skip


@cache
def by_long() -> dict[str, Option]:
    """Every long name, aliases too."""
    return {name: option for option in OPTIONS for name in (option.name, *option.aliases)}


@cache
def by_short() -> dict[str, Option]:
    """Every letter."""
    return {option.short: option for option in OPTIONS if option.short}


def table() -> str:
    """Return the table of the documentation."""
    rows = ["| option | elsewhere | on Slurm | |", "|---|---|---|---|"]
    for option in sorted(OPTIONS, key=lambda one: one.name):
        names = ", ".join(
            [
                *([f"`-{option.short}`"] if option.short else []),
                f"`--{option.name}`",
                *(f"`--{a}`" for a in option.aliases),
            ]
        )
        rows.append(f"| {names} | {option.fate} | {option.on_slurm} | {option.note} |")
    return "\n".join(rows) + "\n"
