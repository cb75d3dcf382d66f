# Approves the renewals of the kubelets' serving certificates. Runs as root on the first control
# plane, by a timer: Kubernetes has no approver for these, since it knows nobody's address.

export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}' |
  while read -r name address; do approve_serving "$name" "$address"; done
