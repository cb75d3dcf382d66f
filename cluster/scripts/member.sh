# Makes one host a node of the cluster, with its labels and taints. Runs as root on the control
# plane: it mints a token and has the host join at once, so that none is stored or stale.
# In: NODE_NAME ADDRESS HOST_KEY SSH_USER ENDPOINT PROVIDER_ID LABELS TAINTS (a word each)
#     FIRST_CONTROL_PLANE: its node name, for a further control plane; else empty

say() { echo "$*" >&2; }
export KUBECONFIG=/etc/kubernetes/admin.conf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "$ADDRESS $HOST_KEY" >"$work/known_hosts"
node() {
  ssh -i /root/.ssh/groundwork-join -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15 \
    -o UserKnownHostsFile="$work/known_hosts" -o HostKeyAlgorithms=ssh-ed25519 -o LogLevel=ERROR \
    "$SSH_USER@$ADDRESS" "$@"
}
# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -gt $deadline ]; then
      say "$NODE_NAME: gave up waiting until $what"
      return 1
    fi
    sleep 1
  done
}

# upload_certificates: leaves the control plane's certificates in the cluster for two hours,
# encrypted; prints the part of a JoinConfiguration that fetches them.
upload_certificates() {
  local key line
  key=$(kubeadm certs certificate-key) || return
  # by a file: on a command line the key would show in the process list
  while IFS= read -r line; do
    echo "$line"
    [ "$line" != 'kind: InitConfiguration' ] || echo "certificateKey: $key"
  done </etc/kubernetes/groundwork-init.yaml >"$work/init.yaml"
  kubeadm init phase upload-certs --upload-certs --config "$work/init.yaml" >/dev/null || return
  printf 'controlPlane:\n  certificateKey: %s\n' "$key"
}

ca_hash=sha256:$(openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt |
  openssl pkey -pubin -outform der | openssl dgst -sha256 -r | cut -d' ' -f1)

wait_for 300 "it answers over SSH" node status </dev/null
joined=$(node status </dev/null)
if [ "$joined" != "$ca_hash" ] || ! kubectl get node "$NODE_NAME" >/dev/null 2>&1; then
  # a Node left by an earlier machine of this name would refuse the new one
  kubectl delete node "$NODE_NAME" --ignore-not-found >/dev/null
  token=$(kubeadm token create --ttl 15m)
  trap 'kubeadm token delete "${token%%.*}" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
  control_plane=
  if [ -n "$FIRST_CONTROL_PLANE" ]; then
    etcd_forget "$NODE_NAME" "$ADDRESS"
    control_plane=$(upload_certificates)
  fi
  say "$NODE_NAME: kubeadm join"
  {
    cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: $ENDPOINT
    token: $token
    caCertHashes: [$ca_hash]
$control_plane
nodeRegistration:
  name: $NODE_NAME
  criSocket: unix:///run/containerd/containerd.sock
  kubeletExtraArgs:
    - {name: provider-id, value: "$PROVIDER_ID"}
YAML
    if [ -n "$TAINTS" ]; then
      echo "  taints:"
      for taint in $TAINTS; do
        pair=${taint%:*}
        key=${pair%%=*}
        value=${pair#"$key"}
        echo "    - {key: \"$key\", value: \"${value#=}\", effect: ${taint##*:}}"
      done
    else
      echo "  taints: []"
    fi
  } | node join
fi
# kubeadm join returns before the Node object exists
wait_for 300 "its Node object exists" kubectl get node "$NODE_NAME"

serving_certificate "$NODE_NAME" "$ADDRESS"

# What an earlier run set and this one does not is removed: it is noted on the Node itself.
before=$(kubectl get node "$NODE_NAME" -o jsonpath='{.metadata.annotations.groundwork/applied}')
remove_labels=() remove_taints=()
for word in $before; do
  case $word in
  label:*)
    [[ " $LABELS" == *" ${word#label:}="* ]] || remove_labels+=("${word#label:}-")
    ;;
  taint:*)
    [[ " $TAINTS " == *" ${word#taint:} "* ]] || remove_taints+=("${word#taint:}-")
    ;;
  esac
done
applied=()
for label in $LABELS; do applied+=("label:${label%%=*}"); done
for taint in $TAINTS; do applied+=("taint:$taint"); done
read -r -a labels <<<"$LABELS"
read -r -a taints <<<"$TAINTS"
[ ${#remove_labels[@]} -eq 0 ] || kubectl label node "$NODE_NAME" "${remove_labels[@]}" >/dev/null
for taint in "${remove_taints[@]}"; do
  # kubectl calls it an error when somebody has removed the taint already
  kubectl taint node "$NODE_NAME" "$taint" >/dev/null 2>"$work/why" || grep -q 'not found' "$work/why"
done
[ ${#labels[@]} -eq 0 ] || kubectl label --overwrite node "$NODE_NAME" "${labels[@]}" >/dev/null
[ ${#taints[@]} -eq 0 ] || kubectl taint --overwrite node "$NODE_NAME" "${taints[@]}" >/dev/null
kubectl annotate --overwrite node "$NODE_NAME" "groundwork/applied=${applied[*]}" >/dev/null

if ! kubectl wait --for=condition=Ready "node/$NODE_NAME" --timeout=10m >/dev/null 2>"$work/why"; then
  say "$NODE_NAME: joined but not Ready: $(kubectl get node "$NODE_NAME" -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}') $(tail -n 1 "$work/why")"
  exit 1
fi
say "$NODE_NAME: Ready"
