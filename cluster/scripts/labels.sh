# Sets a node's labels. Runs as root on the control plane.
# In: NODE_NAME LABELS (a word each)

export KUBECONFIG=/etc/kubernetes/admin.conf
read -r -a labels <<<"$LABELS"
kubectl label --overwrite node "$NODE_NAME" "${labels[@]}" >&2
