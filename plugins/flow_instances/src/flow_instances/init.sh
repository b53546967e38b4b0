#!/bin/bash
# PID 1 of a test machine: host key, sshd, cron (whose @reboot entries are this machine's boot units), then, at the
# first boot only, the startup script. TERM powers off: everybody is asked to end, then the kernel ends the rest.
exec </dev/null >>/dev/console 2>&1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
cd /
say() { echo "[init] $*"; }
key=/etc/ssh/ssh_host_ed25519_key

power_off() {
    say "powering off"
    kill -TERM -1
    for _ in {1..50}; do
        others=(/proc/[1-9]*)
        [ ${#others[@]} -le 1 ] && break
        sleep 0.1
    done
    say "off"
    exit 0
}
trap power_off TERM

# Its groups are below the machine's, so that whoever freezes or ends that has the containers too. There is no network
# of containers: they share the machine's.
docker_up() {
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    unshare --cgroup sh -c 'for c in cpuset cpu cpuacct blkio memory devices freezer pids; do
        mkdir /sys/fs/cgroup/$c && mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c
    done
    exec dockerd --storage-driver vfs --bridge=none --iptables=false --exec-opt native.cgroupdriver=cgroupfs' \
        >/var/log/docker.log 2>&1 &
    until docker info >/dev/null 2>&1; do sleep 0.1; done
    programs="/bin/sh /bin/cat /usr/bin/id /bin/sleep"
    mkdir -p /run/image/tmp
    cp -L --parents $programs $(ldd $programs | grep -o '/lib[^ ]*' | sort -u) /run/image
    tar -C /run/image -c . | docker import - machine:1
}

mkdir -p /run/sshd /run/lock
[ -s $key ] || ssh-keygen -q -t ed25519 -N '' -C "root@$HOSTNAME" -f $key
echo "-----BEGIN SSH HOST KEY KEYS-----"
cat $key.pub
echo "-----END SSH HOST KEY KEYS-----"
[ -e /etc/machine-docker ] && docker_up && say "docker is up"
/usr/sbin/sshd -h $key && say "sshd is up"
/usr/sbin/cron
first=/var/lib/first-boot
if [ -e $first ]; then
    read -r script log < $first
    rm $first
    say "startup script"
    HOME=/root setsid "$script" > >(tee -a "$log") 2>&1 &
    started=$!
    while kill -0 $started 2>/dev/null; do wait $started; code=$?; done
    say "startup script ended with $code"
fi
while :; do
    sleep infinity &
    wait $!
done
