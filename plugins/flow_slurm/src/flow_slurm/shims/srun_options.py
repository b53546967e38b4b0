"""The command line of `srun`: what there is, and what cannot be had in a task."""

import getopt
from typing import Dict, List, Tuple

_LONG = """
    ntasks= nodes= cpus-per-task= ntasks-per-node= tasks-per-node= nodelist= exclude= label kill-on-bad-exit== exclusive==
    exact overlap overcommit output= error= input= chdir= job-name= gpus-per-task= relative= export= unbuffered mpi=
    cpu-bind= cpu_bind= mem-bind= gpu-bind= gres= gpus= gpus-per-node= mem= mem-per-cpu= mem-per-gpu= time= distribution=
    hint= threads-per-core= ntasks-per-core= ntasks-per-socket= ntasks-per-gpu= cpus-per-gpu= wait= immediate== quiet
    verbose no-kill partition= account= qos= constraint= jobid= signal= propagate== comment= slurmd-debug= open-mode=
    resv-ports== pty het-group= multi-prog container-image= container-mounts= container= bcast== mail-type= mail-user=
    licenses= oversubscribe whole spread-job use-min-nodes switches= network= acctg-freq= profile= gpu-freq= cpu-freq=
    mincpus= reservation= dependency= begin= test-only help version tres-per-task= container-workdir= container-name=
    container-writable container-remap-root container-mount-home no-container-mount-home
""".split()  # noqa: SIM905
_SHORT = "n:N:c:w:x:lKo:e:i:D:J:r:ut:m:W:I:QvkOsp:A:q:C:L:dT:ZB:G:V"
_NAMES = {
    "n": "ntasks", "N": "nodes", "c": "cpus-per-task", "w": "nodelist", "l": "label", "K": "kill-on-bad-exit", "o": "output",
    "e": "error", "i": "input", "D": "chdir", "J": "job-name", "r": "relative", "O": "overcommit", "x": "exclude",
    "tasks-per-node": "ntasks-per-node", "Q": "quiet",
}  # fmt: skip
_CANNOT = {
    "het-group": "a task's nodes are all alike",
    "multi-prog": "start the programs with several sruns",
    "container-image": "say --image to flow run: then all of the script runs in it",
    "container-mounts": "say --mount to flow run",
    "container-workdir": "say --working-dir to flow run",
    "container-name": "say --image to flow run",
    "container": "say --image to flow run",
    "bcast": "a file reaches the nodes with the task's code",
    "exclude": "name the nodes with --nodelist",
    "dependency": "steps run in the script's own order",
    "begin": "steps begin when the script says so",
    "tres-per-task": "say --cpus-per-task and --gpus-per-task",
    "test-only": "steps are not tested",
}


class Usage(Exception):  # noqa: N818
    """The command line is wrong, or asks for what there is not."""


def read(argv: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """The options by long name, and the command. Raises Usage."""
    plain = [name.rstrip("=") + ("=" if name.endswith("=") and not name.endswith("==") else "") for name in _LONG]
    optional = {name[:-2] for name in _LONG if name.endswith("==")}
    split: Dict[str, str] = {}
    words = []
    for at, word in enumerate(argv):
        name, equals, value = word.partition("=")
        if name[2:] in optional and word.startswith("--"):
            split[name[2:]] = value if equals else "1"
            words.append(name)
        elif word.startswith("-K") and word[2:].isdigit():
            split["kill-on-bad-exit"] = word[2:]
        else:
            words.append(word)
            if not word.startswith("-") and not _takes_value(argv[at - 1] if at else ""):
                words += argv[at + 1 :]
                break
    try:
        found, rest = getopt.getopt(words, _SHORT, plain)
    except getopt.GetoptError as error:
        what = ("--" if len(error.opt) > 1 else "") + error.opt
        raise Usage("unrecognized option '%s'" % what if "not recognized" in error.msg else error.msg) from None
    options = {_NAMES.get(name.lstrip("-"), name.lstrip("-")): value for name, value in found}
    options.update(split)
    if options.get("kill-on-bad-exit") == "":
        options["kill-on-bad-exit"] = "1"
    for name, why in _CANNOT.items():
        if name in options:
            raise Usage("error: --%s is not to be had in this task: %s" % (name, why))
    if not rest:
        raise Usage("fatal: No command given to execute.")
    return options, rest


def _takes_value(word: str) -> bool:
    if word.startswith("--"):
        return word[2:] + "=" in _LONG
    at = _SHORT.find(word[-1:]) if word.startswith("-") and len(word) == 2 else -1
    return at >= 0 and _SHORT[at + 1 : at + 2] == ":"
