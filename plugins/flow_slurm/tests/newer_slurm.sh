#!/usr/bin/env bash
# Slurm 24.11, Debian 13's, in a folder of its own: newer_slurm.sh DIR COMMAND... runs COMMAND among its programs.
#
# DIR is made when it is not there (about a minute, 1.6 GiB). This repository and /tmp stand inside at their own paths,
# and /opt/flow/bin, which is first on PATH, has a Python with this repository's packages. As root; nothing stays mounted.
set -euo pipefail
place=$(realpath -m "${1:?usage: newer_slurm.sh DIR COMMAND...}")
shift
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
packages=slurmctld,slurmd,slurm-client,munge,slurm-wlm-jwt-plugin,slurmrestd,slurmdbd,slurm-wlm-mysql-plugin,mariadb-server
packages+=,python3,python3-venv,python3-dev,gcc,libc6-dev,procps,openssh-server,openssh-client,git,ca-certificates

inside() {
    # shellcheck disable=SC2016
    unshare --mount sh -c '
        place=$1 repository=$2
        shift 2
        # Not chroot: in one no user namespace can be made, which tasks with volumes need.
        mount --bind "$place" "$place"
        mount --rbind /dev "$place/dev" && mount -t proc proc "$place/proc" && mount --rbind /sys "$place/sys"
        for path in /tmp "$repository"; do
            mkdir -p "$place$path" && mount --bind "$path" "$place$path"
        done
        # A controller that cannot find this machine by its name asks for ten seconds, and answers nobody meanwhile.
        touch "$place/etc/hosts" && mount --bind /etc/hosts "$place/etc/hosts"
        cd "$place"
        mkdir -p .outside && pivot_root . .outside && umount -l /.outside
        cd "$repository" && exec env PATH=/opt/flow/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
    ' sh "$place" "$repository" "$@"
}

if [ ! -e "$place/.ready" ]; then
    mmdebstrap --quiet --variant=minbase --mode=root "--include=$packages" trixie "$place" >&2
    # slurmdbd 24.11 fails with the client library of MariaDB 11.8 ("5027 ... number of columns (=0)").
    if library=$(ls /usr/lib/*/libmariadb.so.3 2>/dev/null | head -n 1) && [ -n "$library" ]; then
        mkdir -p "$place/opt/libmariadb" && cp -L "$library" "$place/opt/libmariadb/"
        echo /opt/libmariadb >"$place/etc/ld.so.conf.d/00-libmariadb.conf"
        inside ldconfig
    fi
    # Packages come by the pip of this machine, as it is set up here.
    python3 -m pip download --quiet --python-version 3.13 --only-binary=:all: --dest "$place/opt/wheels" \
        -r "$repository/tests/requirements.txt" "$repository" "$repository"/plugins/flow_{local,slurm} hatchling editables >&2
    inside python3 -m venv /opt/flow >&2
    inside pip install --quiet --no-index --find-links /opt/wheels hatchling editables >&2
    inside pip install --quiet --no-index --find-links /opt/wheels --no-build-isolation \
        -r tests/requirements.txt -e . -e plugins/flow_local -e plugins/flow_slurm >&2
    touch "$place/.ready"
fi
inside "$@"
