"""Forty patterns of real batch scripts, and the slips after them: what each looks like, in few lines.

Programs that are not here (conda, torchrun, apptainer, an MPI's mpirun, ...) are stand-ins on PATH that say how they were
called: of these patterns the script's shape is tried, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

STAND_INS = ("conda", "torchrun", "accelerate", "apptainer", "mpirun", "ray", "jupyter", "Rscript")
_SAYS = '#!/bin/sh\n[ "$1" = shell.bash ] || echo "${0##*/} $*"\n'
FILES = {
    "site.sh": "module() { echo module $*; }\n",
    "data.txt": "data\n",
    "cmds": "echo one\necho two\necho three\n",
    "app": '#!/bin/sh\necho "rank $SLURM_PROCID of $SLURM_NTASKS"\n',
    "template": "#!/bin/bash\n#SBATCH -J XXNAMEXX -o template.txt\necho XXNAMEXX $SLURM_JOB_NAME\n",
    "nodes/keep": "",
    "logs/keep": "",
}
"""What lies beside each script."""

ARGUMENTS = {"31_arguments": ("a b", "c"), "32_defaults": ("-n", "5", "file")}
_HEAD = "$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)"

PATTERNS: dict[str, str] = {
    "01_hello": "#SBATCH -J hello -o %x.txt -t 5 -n1\necho hello from $SLURM_JOB_NAME; hostname | grep -c .",
    "02_one_gpu": "#SBATCH --gres=gpu:1 -c 2 --mem=1G -t 1-0\n. ./site.sh\nmodule load cuda/12\n"
    'eval "$(conda shell.bash hook)"\nconda activate env\npython3 -c "print(6 * 7)"',
    "03_gpu_type": "#SBATCH --gres=gpu:a100:2\necho trained",
    "04_feature": "#SBATCH -C fast -p main\necho there",
    "05_torchrun": "#SBATCH --gres=gpu:2 -n1\ntorchrun --standalone --nproc_per_node=${SLURM_GPUS_ON_NODE:-2} train.py",
    "06_accelerate": "#SBATCH --gpus-per-node=4\naccelerate launch --multi_gpu --num_processes=4 train.py",
    "07_torchrun_nodes": "#SBATCH -N2 --ntasks-per-node=1 --gpus-per-node=1 --exclusive\n"
    f"export MASTER_ADDR={_HEAD} MASTER_PORT=$((10000 + SLURM_JOB_ID % 10000))\n"
    "srun bash -c 'torchrun --nnodes=$SLURM_NNODES --node_rank=$SLURM_PROCID ${MASTER_ADDR:+--rdzv_id=1}' | sort",
    "08_task_a_gpu": "#SBATCH -N2 --ntasks-per-node=2 --gres=gpu:2\n"
    "srun bash -c 'echo $SLURM_PROCID $SLURM_LOCALID $SLURM_NODEID' | sort",
    "08_overcommit": "#SBATCH -n 12 -N1 --overcommit --mem=0\nsrun --overcommit bash -c 'echo $SLURM_PROCID' | sort -n",
    "10_apptainer": "#SBATCH -n1\n[ -e image.sif ] || { apptainer build image.sif docker://x; touch image.sif; }\n"
    "apptainer exec --nv image.sif python3 train.py",
    "11_mpi": "#SBATCH -n 4 --mem-per-cpu=20M\n. ./site.sh\nmodule load openmpi\nsrun --mpi=none ./app | sort",
    "12_mpirun": "#SBATCH -n 3\nmpirun -np $SLURM_NTASKS ./app",
    "13_hybrid": "#SBATCH --ntasks-per-node=2 --cpus-per-task=2 --hint=nomultithread\n"
    "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK\n"
    "srun bash -c 'echo $SLURM_PROCID $OMP_NUM_THREADS $SLURM_CPUS_PER_TASK' 2>/dev/null | sort",
    "14_pinned": "#SBATCH -n 2 --ntasks-per-core=1 -m cyclic:cyclic\nsrun ./app | sort",
    "15_array": "#SBATCH --array=0-2\necho $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT > index.$SLURM_ARRAY_TASK_ID",
    "16_array_of_lines": "#SBATCH --array=1-3 -o line.%a.txt\n"
    'sed -n "${SLURM_ARRAY_TASK_ID}p" cmds\nsrun $(head -n $SLURM_ARRAY_TASK_ID cmds | tail -1)',
    "17_array_throttled": "#SBATCH --array=2-5%2 -o logs/%A_%a.txt\necho $SLURM_ARRAY_TASK_ID",
    "18_array_sparse": "#SBATCH -a 1,6-7 -o %x.%a.txt -J sparse\necho $SLURM_ARRAY_TASK_MIN $SLURM_ARRAY_TASK_MAX",
    "19_array_mapped": "#SBATCH -a 0-1 -o mapped.%a.txt\nnames=(red green)\ndeclare -A sizes=([red]=1 [green]=2)\n"
    "name=${names[$SLURM_ARRAY_TASK_ID]}\necho $name ${sizes[$name]}",
    "20_array_stride": "#SBATCH -a 0-4:2 -o stride.%a.txt\n"
    "for i in $(seq $SLURM_ARRAY_TASK_ID $((SLURM_ARRAY_TASK_ID + SLURM_ARRAY_TASK_STEP - 1))); do echo $i; done",
    "21_chain": "#SBATCH -n1\njid=$(sbatch --parsable -o a.txt --wrap 'echo first')\n"
    "sbatch -W -Q --dependency=afterok:$jid -o b.txt --wrap 'cat a.txt; echo second'",
    "22_fan_in": "#SBATCH -n1\nid=$(sbatch --parsable -a 0-1 -o part.%a --wrap 'echo $SLURM_ARRAY_TASK_ID')\n"
    "sbatch -W -Q -d afterok:$id -o all.txt --wrap 'cat part.*'\n"
    "sbatch -W -Q -d afterany:$id -o /dev/null --wrap 'rm part.*'",
    "24_singleton": "#SBATCH -n1\nrun='mkdir lock && sleep 0.2 && rmdir lock && echo alone'\n"
    'sbatch -Q -d singleton -J queue -o one.1 --wrap "$run"\nsbatch -W -Q -d singleton -J queue -o one.2 --wrap "$run"',
    "25_again": "#SBATCH -n1 -o /dev/null\necho begun >> again.txt\n[ $(wc -l < again.txt) -ge 3 ] || sbatch -W -Q $0",
    "26_preemptible": "#SBATCH --requeue --signal=B:USR1@60 --open-mode=append -o run.txt -t 10\n"
    "again() { kill $child; echo saved; scontrol requeue $SLURM_JOB_ID; sleep 60; }\ntrap again USR1\n"
    "echo start ${SLURM_RESTART_COUNT:-0}\n[ -e step ] && { echo resumed; exit 0; }\ntouch step\n"
    "(sleep 1; scancel -b -s USR1 $SLURM_JOB_ID) &\nsleep 60 & child=$!\nwait $child",
    "27_checkpoint": "#SBATCH -n1\nif [ -e data.txt ]; then echo resume from data.txt; else echo anew; fi",
    "28_time_min": "#SBATCH --time-min=1 -t 2 --license=tool\necho checkpointed",
    "29_driver": "#SBATCH -n1\nfor lr in 1 2; do\ncat > lr$lr.sh <<EOF\n#!/bin/bash\n#SBATCH -J lr$lr -o lr$lr.txt\n"
    "echo $lr \\$SLURM_JOB_NAME\nEOF\nsbatch -W lr$lr.sh\ndone",
    "30_template": "#SBATCH -n1\nsed s/XXNAMEXX/filled/ template > filled.sh\nsbatch -W -Q filled.sh",
    "31_arguments": '#SBATCH --export=ALL,X=1\necho "$# ${1:?} $2 $X"',
    "32_defaults": '#SBATCH -n1\nwhile getopts n: o; do count=$OPTARG; done; shift $((OPTIND - 1))\necho ${LR:-0.1} $count "$1"',
    "33_farm": "#SBATCH -n 2\n"
    "seq 4 | xargs -P 2 -I{} srun -n1 -N1 --exclusive bash -c 'echo {} > farm.{}' 2>/dev/null\ncat farm.*",
    "34_steps": "#SBATCH -n 2 --mem-per-cpu=50M\nfor i in 1 2; do srun -n1 --exact -o step.$i ./app & done\nwait\ncat step.*",
    "35_services": f"#SBATCH -N 2 --ntasks-per-node=1\nhead={_HEAD}\n"
    "srun -N1 -n1 -w $head --overlap ray start --head --block > head.txt &\n"
    "srun -N1 -n1 -x $head --overlap ray start --address=head:6379 > worker.txt 2>/dev/null ||"
    " srun -N1 -n1 -r1 --overlap ray start --address=head:6379 > worker.txt\nwait\ncat head.txt worker.txt",
    "36_jupyter": "#SBATCH -n1\necho ssh -N -L 8888:$(hostname):8888 $USER@login | cut -c -20\njupyter lab --no-browser --port=8888",
    "37_staging": "#SBATCH -n1\nhere=$PWD\nwork=$(mktemp -d $TMPDIR/XXXXXX)\ntrap 'cp $work/out $here/out.txt; rm -r $work' EXIT\n"
    "cp data.txt $work\ncd $work\ntr a-z A-Z < data.txt > out",
    "39_python": '#!/usr/bin/env python3\n#SBATCH -J snake -o snake.txt\nimport os\nprint("I am", os.environ["SLURM_JOB_NAME"])',
    "39_rscript": "#!/usr/bin/env Rscript\n#SBATCH -J statistics -o r.txt\nprint(1)",
    "40_site": "#SBATCH --licenses=tool -p main,debug --mail-type=BEGIN,END,FAIL\n#SBATCH --mail-type=FAIL --mail-user=me\n"
    "#SBATCH --wait-all-nodes=1\necho extras",
    "slip_01_off": "##SBATCH -J off\n# SBATCH -J off\n #SBATCH -J off\necho ${SLURM_JOB_NAME}",
    "slip_02_too_late": "#SBATCH -J early\nset -e\n#SBATCH -J late\necho $SLURM_JOB_NAME",
    "slip_03_comment": "#SBATCH -J a # why\n#SBATCH --nodes=1\t# one\necho $SLURM_JOB_NAME $SLURM_NNODES",
    "slip_04_blanks": "#SBATCH --nodes = 1\necho never",
    "slip_05_hash": '#SBATCH -o "file #1"\necho here',
    "slip_06_semicolon": "#SBATCH --open-mode=append;\necho here",
    "slip_07_variable": "#SBATCH -J $HOME -o ~x.txt\necho $SLURM_JOB_NAME",
    "slip_08_node_number": "#SBATCH -o out-%n.txt\necho here",
    "slip_09_small_units": "#SBATCH --mem=1g\necho $SLURM_MEM_PER_NODE",
    "slip_10_two_letters": "#SBATCH --mem=1GB\necho $SLURM_MEM_PER_NODE",
    "slip_11_quotes": "#SBATCH --job-name='a b' --time=\"5\"\necho $SLURM_JOB_NAME",
    "slip_12_abbreviated": "#SBATCH --err=e.txt --out=o.txt --job-n=short\necho $SLURM_JOB_NAME; echo bad >&2",
    "slip_13_tasks": "#SBATCH --tasks-per-node=2 --nodes 1\necho $SLURM_NTASKS_PER_NODE; srun ./app | sort",
    "slip_14_old_names": "#SBATCH --workdir=/tmp\necho never",
}  # fmt: skip


def lay_out(folder: Path, name: str) -> Path:
    """Write one script and what it needs into a new folder; return the script."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "app").chmod(0o755)
    body = PATTERNS[name]
    (folder / "job.sh").write_text(body + "\n" if body.startswith("#!") else f"#!/bin/bash\n{body}\n")
    return folder / "job.sh"


def stand_ins(folder: Path) -> Path:
    """Write the programs that are not here."""
    folder.mkdir()
    for name in STAND_INS:
        (folder / name).write_text(_SAYS)
        (folder / name).chmod(0o755)
    return folder
