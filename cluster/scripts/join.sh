#!/bin/bash
# What the control plane's key may do on this node, and nothing else: a forced command of sshd.
#   status: prints the CA hash of the cluster that this node has joined, or "none"
#   join:   stdin: kubeadm's JoinConfiguration; joins, after a reset of whatever was there
set -euo pipefail
done_marker=/etc/kubernetes/groundwork-joined # written last: the only sound "done"

case "${1:-}" in
status)
  cat "$done_marker" 2>/dev/null || echo none
  ;;
join)
  umask 077
  config=$(mktemp -p /run)
  trap 'rm -f "$config"' EXIT
  cat >"$config"
  rm -f "$done_marker"
  if [ -e /etc/kubernetes/kubelet.conf ] || [ -e /var/lib/kubelet/config.yaml ]; then
    kubeadm reset --force >/var/log/kubeadm-reset.log 2>&1
  fi
  if ! kubeadm join --config "$config" >/var/log/kubeadm-join.log 2>&1; then
    echo "kubeadm join failed on $(hostname); the end of /var/log/kubeadm-join.log:" >&2
    tail -n 20 /var/log/kubeadm-join.log | 
      sed -E 's/[a-z0-9]{6}\.[a-z0-9]{16}|[0-9a-f]{64}/***/g' >&2
    exit 1
  fi
  grep -oE 'sha256:[0-9a-f]{64}' "$config" | head -n 1 >"$done_marker.new"
  mv "$done_marker.new" "$done_marker"
  ;;
*)
  echo "this key may ask for: status, join" >&2
  exit 2
  ;;
esac
