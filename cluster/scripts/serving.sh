# approve_serving NAME ADDRESS: signs what that node's kubelet asks to serve by, if it is for its own
# name and address alone. What it refuses it says.
approve_serving() {
  local request names
  for request in $(kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving \
    -o jsonpath="{.items[?(@.spec.username=='system:node:$1')].metadata.name}"); do
    names=$(kubectl get csr "$request" -o jsonpath='{.spec.request}' | base64 -d |
      openssl req -noout -text | sed -n '/Subject Alternative Name/{n;s/ //g;p;}')
    if [ "$names" = "DNS:$1,IPAddress:$2" ]; then
      kubectl certificate approve "$request" >/dev/null
    else
      echo "$1 ($2): not approved: $request, for ${names:-no name}"
    fi
  done
}

# serving_certificate NAME ADDRESS: returns once that node's kubelet serves by a certificate of the
# cluster's (serverTLSBootstrap). Source: "Kubelet serving certificates", kubeadm's guide.
serving_certificate() {
  local deadline=$((SECONDS + 300)) refused=
  until timeout 10 openssl s_client -connect "$2:10250" -verify_ip "$2" -verify_return_error \
    -CAfile /etc/kubernetes/pki/ca.crt </dev/null >/dev/null 2>&1; do
    if [ $SECONDS -gt $deadline ]; then
      echo "${refused:-$1 ($2): its kubelet has asked for no serving certificate in 5 minutes}" >&2
      return 1
    fi
    refused=$(approve_serving "$1" "$2")
    sleep 0.5
  done
}

