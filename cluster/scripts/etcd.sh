# etcd_forget NAME [ADDRESS]: takes a member out of etcd, where a machine that is gone would count
# for the majority for ever. Known by its name, or by its address when it never started.
etcd_forget() {
  local pod=etcd-$FIRST_CONTROL_PLANE members id state name peers rest
  etcdctl() {
    kubectl --namespace kube-system exec "$pod" -- etcdctl \
      --cacert=/etc/kubernetes/pki/etcd/ca.crt \
      --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt \
      --key=/etc/kubernetes/pki/etcd/healthcheck-client.key "$@"
  }
  members=$(etcdctl member list </dev/null)
  while IFS=, read -r id state name peers rest; do
    if [ "${name# }" = "$1" ] || { [ -n "${2:-}" ] && [ "${peers# }" = "https://$2:2380" ]; }; then
      echo "$1: leaves etcd (${state# })" >&2
      etcdctl member remove "$id" </dev/null >/dev/null
    fi
  done <<<"$members"
}

