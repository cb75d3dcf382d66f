#!/bin/bash
# The cluster phase by hand: hosts that answer SSH in, a cluster whose every node is Ready out.
# What an engineer writes for a single use: straight commands, every host at once, no second run.
# usage: bare.sh FOLDER MASTER ENDPOINT
#   FOLDER/ssh_config       how each host is reached by its node's name
#   FOLDER/nodes            a line a node: name|provider id|labels|taints, words by spaces
#   FOLDER/init.yaml        kubeadm's configuration of the control plane
#   FOLDER/containerd.toml  /etc/containerd/config.toml
#   MASTER, ENDPOINT        the control plane's name; the API's host:port
# Environment: PACKAGES_URL PACKAGES_KEY_URL PACKAGE_VERSION IMAGE_MIRROR (or empty) CNI_MANIFEST
# Out: a line on standard output at each milestone.
set -euo pipefail
folder=$1 MASTER=$2 ENDPOINT=$3
NODES=$(<"$folder/nodes") INIT_YAML=$(<"$folder/init.yaml")
CONTAINERD_TOML=$(<"$folder/containerd.toml")
TOKEN='' CA_HASH=''
sent=(PACKAGES_URL PACKAGES_KEY_URL PACKAGE_VERSION IMAGE_MIRROR CNI_MANIFEST
  NODES INIT_YAML CONTAINERD_TOML ENDPOINT TOKEN CA_HASH)

finish() {
  local control
  jobs -p | xargs --no-run-if-empty kill 2>/dev/null || true
  for control in "$folder"/control-*; do
    [ ! -S "$control" ] || ssh -o ControlPath="$control" -O exit any >/dev/null 2>&1 || true
  done
}
trap finish EXIT

# as_root HOST FUNCTION [ARGUMENT...]: runs a function of this file on a host, sent over stdin, so
# that neither the token nor anything else is on a command line
as_root() {
  local host=$1
  shift
  {
    declare -p "${sent[@]}"
    declare -f "$1"
    printf '%q ' "$@"
  } | ssh -F "$folder/ssh_config" "$host" sudo -n bash -euo pipefail -s
}

fail() {
  echo "$*" >&2
  exit 1
}

# on_workers FUNCTION: on every host but the control plane, all at once
on_workers() {
  local name provider_id pid pids=()
  while IFS='|' read -r name provider_id _; do
    if [ "$name" != "$MASTER" ]; then
      as_root "$name" "$1" "$name" "$provider_id" || fail "$1 failed on $name" &
      pids+=($!)
    fi
  done <<<"$NODES"
  for pid in "${pids[@]}"; do wait "$pid"; done
}

# The functions below run on the hosts.

prepare() { # NAME
  export DEBIAN_FRONTEND=noninteractive
  hostnamectl set-hostname "$1"
  sed -i '/^127\.0\.1\.1/d' /etc/hosts
  echo "127.0.1.1 $1" >>/etc/hosts

  printf 'overlay\nbr_netfilter\n' >/etc/modules-load.d/kubernetes.conf
  grep -qw overlay /proc/filesystems || modprobe overlay
  [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || modprobe br_netfilter
  printf '%s = 1\n' net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables \
    net.bridge.bridge-nf-call-ip6tables >/etc/sysctl.d/90-kubernetes.conf
  sysctl -q -p /etc/sysctl.d/90-kubernetes.conf
  [ "$(wc -l </proc/swaps)" -le 1 ] || swapoff -a

  mkdir -p /etc/apt/keyrings
  curl -fsSL "$PACKAGES_KEY_URL" | gpg --dearmor -o /etc/apt/keyrings/kubernetes.gpg
  echo "deb [signed-by=/etc/apt/keyrings/kubernetes.gpg] $PACKAGES_URL /" \
    >/etc/apt/sources.list.d/kubernetes.list
  apt-get -qq update -o Dir::Etc::sourcelist=sources.list.d/kubernetes.list \
    -o Dir::Etc::sourceparts=-
  apt-get -qq install -y --no-install-recommends \
    "kubeadm=$PACKAGE_VERSION" "kubelet=$PACKAGE_VERSION" "kubectl=$PACKAGE_VERSION" >/dev/null
  apt-mark -qq hold kubeadm kubelet kubectl >/dev/null

  echo "$CONTAINERD_TOML" >/etc/containerd/config.toml
  if [ -n "$IMAGE_MIRROR" ]; then
    mkdir -p /etc/containerd/certs.d/_default
    printf '[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$IMAGE_MIRROR" \
      >/etc/containerd/certs.d/_default/hosts.toml
  fi
  echo 'runtime-endpoint: unix:///run/containerd/containerd.sock' >/etc/crictl.yaml
  systemctl restart containerd
  systemctl enable -q containerd kubelet
}

init() { # prints a token and the CA's hash
  export KUBECONFIG=/etc/kubernetes/admin.conf
  mkdir -p /etc/kubernetes
  echo "$INIT_YAML" >/etc/kubernetes/init.yaml
  kubeadm init --config /etc/kubernetes/init.yaml >/var/log/kubeadm-init.log 2>&1 || {
    tail -n 20 /var/log/kubeadm-init.log >&2
    exit 1
  }
  curl -fsSL "$CNI_MANIFEST" | kubectl apply --server-side -f - >/dev/null
  kubeadm token create --ttl 15m
  openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt |
    openssl pkey -pubin -outform der | openssl dgst -sha256 -r | cut -d' ' -f1
}

join() { # NAME PROVIDER_ID
  umask 077
  cat >/run/join.yaml <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken: {apiServerEndpoint: "$ENDPOINT", token: $TOKEN, caCertHashes: ["sha256:$CA_HASH"]}
nodeRegistration:
  name: $1
  criSocket: unix:///run/containerd/containerd.sock
  kubeletExtraArgs: [{name: provider-id, value: "$2"}]
  taints: []
YAML
  kubeadm join --config /run/join.yaml >/var/log/kubeadm-join.log 2>&1 || {
    tail -n 20 /var/log/kubeadm-join.log >&2
    exit 1
  }
  rm /run/join.yaml
}

label_and_wait() {
  local name labels taints nodes
  export KUBECONFIG=/etc/kubernetes/admin.conf
  mapfile -t nodes < <(cut -d'|' -f1 <<<"$NODES")
  # kubeadm join returns before the Node object exists
  kubectl wait --for=create "${nodes[@]/#/node/}" --timeout=5m >/dev/null
  while IFS='|' read -r name _ labels taints; do
    {
      # shellcheck disable=SC2086  # a word each
      kubectl label --overwrite node "$name" $labels >/dev/null
      # shellcheck disable=SC2086
      [ -z "$taints" ] || kubectl taint --overwrite node "$name" $taints >/dev/null
    } &
  done <<<"$NODES"
  wait
  echo "nodes labelled"
  kubectl wait --for=condition=Ready nodes --all --timeout=10m >/dev/null
}

ssh -F "$folder/ssh_config" "$MASTER" true # the connections by way of the bastion share one
on_workers prepare &
workers=$!
as_root "$MASTER" prepare "$MASTER"
join=$(as_root "$MASTER" init)
echo "control plane initialised"
wait "$workers"
echo "hosts prepared"
{ read -r TOKEN && read -r CA_HASH; } <<<"$join"
on_workers join
echo "nodes joined"
as_root "$MASTER" label_and_wait
echo "nodes Ready"
