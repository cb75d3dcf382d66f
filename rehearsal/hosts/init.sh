#!/bin/bash
# Becomes process 1 of a host. Runs in the host's folder, as process 1 of a new pid namespace.
# usage: init.sh enter NAME HOSTNAME HIERARCHY...    joins the host's cgroups, makes namespaces
#        init.sh start NAME HOSTNAME HIERARCHY...    mounts the host's file systems, runs systemd
set -euo pipefail
step=$1 name=$2 hostname=$3
hierarchies=("${@:4}")

if [ "$step" = enter ]; then
  # The cgroup namespace is rooted where its maker sits, so the cgroups come first.
  for hierarchy in "${hierarchies[@]}"; do
    echo $$ >"${hierarchy%%:*}/groundwork/$name/host/cgroup.procs"
  done
  exec unshare --mount --uts --ipc --cgroup -- "$0" start "${@:2}"
fi

folder=$PWD
hostname "$hostname"
# Relative paths, so that no character of this machine's paths needs escaping in the options.
mount -t overlay overlay -o lowerdir=base,upperdir=upper,workdir=work root
cd root

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,rw proc/sys/net
if [ -e proc/sysrq-trigger ]; then # some kernels have none
  mount --bind proc/sysrq-trigger proc/sysrq-trigger
  mount -o remount,bind,ro proc/sysrq-trigger
fi

mount -t sysfs sysfs sys
# Read-only by the mount, not by the file system: privileged pods may mount their own writable.
mount -o remount,bind,ro sys
if [ "${hierarchies[0]}" = "/sys/fs/cgroup:cgroup2:" ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
  for hierarchy in "${hierarchies[@]}"; do
    IFS=: read -r from type options <<<"$hierarchy"
    mkdir "sys/fs/cgroup/${from##*/}"
    mount -t "$type" -o "$options" cgroup "sys/fs/cgroup/${from##*/}"
    # Controllers mounted together are looked for under each name, too.
    for controller in ${options//,/ }; do
      if [[ $options == *,* && $options != *name=* ]]; then
        ln -s "${from##*/}" "sys/fs/cgroup/$controller"
      fi
    done
  done
fi

mount -t tmpfs -o mode=755 tmpfs dev
while read -r device mode major minor; do
  mknod -m "$mode" "dev/$device" c "$major" "$minor"
done <<'DEVICES'
null 666 1 3
zero 666 1 5
full 666 1 7
random 666 1 8
urandom 666 1 9
tty 666 5 0
kmsg 600 1 11
DEVICES
mkdir dev/pts dev/shm dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t mqueue mqueue dev/mqueue
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
: >dev/console
mount --bind "$folder/console" dev/console

mount -t tmpfs -o mode=755 tmpfs run
# Knobs that are the whole machine's, yet set by the kubelet or by preparing a host: each host
# gets files of its own, which keep what is written and change nothing.
mkdir run/private
for knob in vm/{overcommit_memory,panic_on_oom,swappiness,max_map_count} \
  kernel/{panic,panic_on_oops,keys/root_maxkeys,keys/root_maxbytes} \
  fs/{file-max,inotify/max_user_instances,inotify/max_user_watches}; do
  if ! [ -e "/proc/sys/$knob" ]; then continue; fi
  cat "/proc/sys/$knob" >"run/private/${knob//\//_}"
  mount --bind "run/private/${knob//\//_}" "proc/sys/$knob"
done
cat /proc/sys/kernel/random/uuid >run/private/boot_id
mount --bind run/private/boot_id proc/sys/kernel/random/boot_id

# Overlays on an overlay don't work (containerd), nor should etcd sync through one.
for real in var/lib/containerd var/lib/kubelet var/lib/etcd var/log; do
  mkdir -p "$folder/state/$real" "$real"
  mount --bind "$folder/state/$real" "$real"
done

# EBS volumes of all hosts, beside the hosts' own folders: what is on them outlives a host. Which
# pod gets which is the PersistentVolumes' to say.
mkdir -p "$folder/../../volumes" var/lib/volumes
mount --bind "$folder/../../volumes" var/lib/volumes

pivot_root . mnt
# Shared propagation only after the pivot, which refuses shared mounts.
# shellcheck disable=SC2016  # expanded by the shell inside
exec chroot . /bin/bash -c '
  umount --lazy /mnt && mount --make-rshared / || exit 1
  (echo ready) 2>/dev/null # on a first boot to whoever booted it, who may have died
  exec >&2
  # All hosts share one kernel and one clock: none may load modules or set the time.
  exec env -i container=docker \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set -sys_module,-sys_time \
    /lib/systemd/systemd --log-target=journal --show-status=0 \
    systemd.legacy_systemd_cgroup_controller=1'
