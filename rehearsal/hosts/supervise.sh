#!/bin/bash
# Keeps one host going: boots it, boots it again when it reboots itself, ends when it powers off.
# Runs in the host's folder, in no namespace. Standard output gets "ready" when systemd starts for
# the first time; all messages go to standard error.
# usage: supervise.sh NAME NETNS HOSTNAME HIERARCHY...    (HIERARCHY: folder:type:options)
set -euo pipefail
umask 022
here=$(dirname "$(readlink -f "$0")")
name=$1 netns=$2
shift 2
# One at a time, even when whoever started the other was killed before it had joined its cgroups.
exec 9>supervisor.lock
if ! flock --nonblock 9; then
  echo "another supervisor runs this host" >&2
  exit 1
fi
for hierarchy in "${@:2}"; do
  echo $$ >"${hierarchy%%:*}/groundwork/$name/supervisor/cgroup.procs"
done

# A real reboot clears cgroups; stale ones stall the kubelet for over a minute.
clear_cgroups() {
  for hierarchy in "${@:2}"; do
    find "${hierarchy%%:*}/groundwork/$name/host" -mindepth 1 -depth -type d -delete || return 1
  done
}

while :; do
  for _ in {1..50}; do
    if clear_cgroups "$@" 2>/dev/null; then break; fi
    sleep 0.1 9>&- # cgroups of processes that just died take a moment to become empty
  done
  status=0
  nsenter --net="/run/netns/$netns" unshare --pid --fork --kill-child -- \
    "$here/init.sh" enter "$name" "$@" 9>&- || status=$?
  exec >&2
  # reboot(2) in a pid namespace ends its process 1 by SIGHUP for a restart, by SIGINT for a halt.
  if [ "$status" != $((128 + 1)) ]; then break; fi
  echo "reboot" >&2
done
echo "ended with status $status" >&2
