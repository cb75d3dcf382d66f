# Takes a node out of the cluster: drained if it is alive, then its Node object is deleted.
# Runs as root on the control plane and needs nothing of the host that goes.
# In: NODE_NAME
#     FIRST_CONTROL_PLANE: its node name, when a further control plane leaves; else empty

say() { echo "$*" >&2; }
export KUBECONFIG=/etc/kubernetes/admin.conf
ready=$(kubectl get node "$NODE_NAME" --ignore-not-found \
  -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')
if [ "$ready" = True ]; then
  say "$NODE_NAME: draining"
  kubectl drain "$NODE_NAME" --ignore-daemonsets --delete-emptydir-data --force --timeout=120s >&2 ||
    say "$NODE_NAME: the drain did not finish within 2 minutes; deleting the node all the same"
elif [ -n "$ready" ]; then
  say "$NODE_NAME: not Ready, so not drained"
fi
[ -z "$FIRST_CONTROL_PLANE" ] || etcd_forget "$NODE_NAME"
# again: etcd may be choosing a new leader, or the API's name lead to what has just left etcd
deadline=$((SECONDS + 120))
until kubectl delete node "$NODE_NAME" --ignore-not-found >&2; do
  if [ $SECONDS -gt $deadline ]; then
    say "$NODE_NAME: could not be deleted within 2 minutes"
    exit 1
  fi
  sleep 1
done
