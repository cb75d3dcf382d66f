# Installs the pod network. Runs as root on the control plane; a new manifest is laid over the old.
# In: MANIFEST_URL NODE_NAME

export KUBECONFIG=/etc/kubernetes/admin.conf
manifest=$(mktemp)
trap 'rm -f "$manifest"' EXIT
curl -fsSL --retry 5 --retry-connrefused -o "$manifest" "$MANIFEST_URL"
kubectl apply --server-side --force-conflicts -f "$manifest" >&2
kubectl wait --for=condition=Ready "node/$NODE_NAME" --timeout=10m >&2
