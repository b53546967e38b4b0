"""The startup script: it prepares a machine once, and names what runs at each boot.

Source of its limits (10,000 characters, ``#!/bin/bash``, root, first boot only): the platform's page on startup
scripts. Nothing secret and no code of the user's is in it: these come over ssh, or
by a URL of a result store that serves once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from shlex import quote

import attrs

from flow_core.types import Start

ROOT = "/var/lib/flow"
LIMIT = 10_000
ADDRESS = "@address@"
"""Stands in a task that a machine fetches for the machine's private address, which only that knows."""
KEY_FILE = "release.key"
NOTICE = "/opt/mithril/MITHRIL_SIGNAL.yml"
_LAUNCH = "/usr/local/sbin/flow-launch"


@attrs.frozen
class Volume:
    """A volume that a machine mounts at ``target``; a block volume is a disk, a file share stands below /mnt."""

    fid: str
    name: str
    block: bool
    target: str
    read_only: bool = False

    @property
    def line(self) -> str:
        """The call that mounts it."""
        kind, mode = ("block" if self.block else "share"), ("ro" if self.read_only else "rw")
        return " ".join([kind, quote(self.fid), quote(self.name), quote(self.target), mode])


_MOUNTS = r"""
fail() { echo "$*" >$R/failed; echo "flow: $*"; exit 1; }
own() { [ "$2" = ro ] || chown $U: "$1" 2>/dev/null || :; }
block() { # fid name target mode: the platform's name of the disk has the first 20 characters of the id, or the name
  mountpoint -q "$3" && return; d=; i=0
  while [ $i -lt 120 ]; do
    for n in "virtio-$(echo "$1" | cut -c1-20)" "virtio-$(echo "$2" | cut -c1-36)" "virtio-$(echo "$2" | cut -c1-20)"; do
      [ -e "/dev/disk/by-id/$n" ] && d=/dev/disk/by-id/$n && break 2
    done; sleep 0.5; i=$((i+1))
  done
  [ -n "$d" ] || fail "the disk of volume $2 is not there"
  k=$(blkid -p -o value -s TYPE "$d"); c=$?
  if [ -z "$k" ]; then
    [ $c = 2 ] && cmp -s -n 4194304 "$d" /dev/zero || fail "volume $2 holds something that is no file system: it was left alone"
    mkfs.ext4 -q -m 0 "$d" || fail "volume $2 cannot be made into a file system"
  fi
  mkdir -p "$3"; mount -o $4 "$d" "$3" || fail "volume $2 cannot be mounted"; own "$3" $4
}
share() {
  mountpoint -q "$3" && return; i=0
  while [ ! -d "/mnt/$2" ] && [ $i -lt 120 ]; do sleep 0.5; i=$((i+1)); done
  [ -d "/mnt/$2" ] || fail "the file share $2 is not there"
  [ "$3" = "/mnt/$2" ] && return
  mkdir -p "$3"; mount --bind "/mnt/$2" "$3" || fail "file share $2 cannot be mounted"
  [ $4 = rw ] || mount -o remount,bind,ro "$3"; own "$3" $4
}
"""

_LAUNCH_TEXT = r"""
id $U >/dev/null 2>&1 || U=root
exec 7>>$R/launch.lock; flock -n 7 || exit 0
end=$(cat $R/ends_at)
off() { echo "flow: $1"; sync; poweroff || shutdown -h now || kill -TERM 1; sleep 60; }
( exec 7>&-; while [ $(date +%s) -lt $((end+600)) ]; do sleep 20; done; off "its time is over" ) &
i=0
while [ ! -s $R/runner.pyz ]; do
  [ $i -lt WAIT ] || { off "no client came"; exit; }
  i=$((i+1)); sleep 1
done
while :; do
  setpriv --reuid $U --regid $(id -g $U) --init-groups env HOME=$(getent passwd $U | cut -d: -f6) USER=$U \
    python3 -I -S $R/runner.pyz keep $R 7>&-
  [ $? = 0 ] && off "it is done"
  sleep 1
done
"""

_PYTHON = r"""
command -v python3 >/dev/null || apt-get install -y -q python3 || fail "there is no python3 and it cannot be installed"
"""

# What does not come by the URLs is left to a client.
_FETCH = r"""
get() { python3 -I -S -c 'import sys, hashlib, urllib.request as u
d = u.urlopen(sys.argv[1], timeout=60).read()
assert hashlib.sha256(d).hexdigest() == sys.argv[2]
open(".runner", "wb").write(d)' RUNNER SUM && printf '%s\n' TASK | FLOW_RUNNER_PATIENCE=10 python3 -I -S .runner fetch $PWD/NAME; }
( umask 077; cd $R/tasks && { get || { sleep 2; get; } || { sleep 5; get; }; } || exit
ip=$(hostname -I | cut -d' ' -f1); sed -i "s/ADDRESS/${ip:-127.0.0.1}/" NAME/bundle.json
[ ! -e NAME/files/KEY ] || { mv NAME/files/KEY $R/; chmod 600 $R/KEY; }
mv .runner $R/runner.pyz )
"""

_INSTALL = r"""
chmod 755 LAUNCH
getent group docker >/dev/null && usermod -aG docker $U
if [ -d /run/systemd/system ]; then
  printf '%s\n' '[Unit]' Description=Flow 'After=network-online.target docker.service' '[Service]' ExecStart=LAUNCH KillMode=process \
    Restart=on-failure '[Install]' WantedBy=multi-user.target >/etc/systemd/system/flow.service
  systemctl daemon-reload; systemctl enable -q flow.service
else
  { crontab -l 2>/dev/null | grep -v flow-launch; echo "@reboot LAUNCH >>$R/launch.log 2>&1"; } | crontab -
fi
touch $R/ready; chown -R $U: $R
if [ -d /run/systemd/system ]; then systemctl start flow.service
else setsid LAUNCH >>$R/launch.log 2>&1 </dev/null & fi
"""


def fetch(start: Start, request: str) -> str:
    """Return the part of a startup script that fetches the runner and the task from a result store."""
    words = {
        "RUNNER": quote(start.runner_url),
        "SUM": start.runner_sha256,
        "TASK": quote(start.url),
        "NAME": request,
        "ADDRESS": ADDRESS,
        "KEY": KEY_FILE,
    }
    names = "|".join(words)
    # In one pass: no URL is taken for one of the words.
    return re.sub(rf"\b({names})\b", lambda found: words[found[0]], _FETCH.strip())


def script(user: str, keep: Mapping[str, object], volumes: Sequence[Volume], lifetime: float, fetched: str = "") -> str:
    """Return the startup script; ``keep`` is the machine's own word to the keeper, ``fetched`` what :func:`fetch` made."""
    wait = f"{float(str(keep['delivery_wait'])):.0f}"
    mounts = "\n".join(volume.line for volume in volumes)
    head = f"R={ROOT} U={quote(user)}\nexport PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    launch = "\n".join(["#!/bin/bash", head, _MOUNTS.strip(), mounts, _LAUNCH_TEXT.strip().replace("WAIT", wait)])
    parts = [
        "#!/bin/bash",
        "# Made by Flow.",
        head,
        f"mkdir -p $R/tasks && cd / || exit 1\n[ -e $R/ends_at ] || echo $(($(date +%s)+{lifetime:.0f})) >$R/ends_at",
        "id $U >/dev/null 2>&1 || U=root",
        _MOUNTS.strip() if volumes else _MOUNTS.strip().splitlines()[0],
        mounts,
        f"printf '%s' {quote(json.dumps(dict(keep)))} | sed s/ENDS_AT/$(cat $R/ends_at)/ >$R/keep.json",
        f"cat >{_LAUNCH} <<'FLOW'\n{launch}\nFLOW" if volumes else f"cat >{_LAUNCH} <<'FLOW'\n{_bare(launch)}\nFLOW",
        _PYTHON.strip(),
        fetched,
        _INSTALL.strip().replace("LAUNCH", _LAUNCH),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _bare(launch: str) -> str:
    return launch.replace(_MOUNTS.strip() + "\n", "")
