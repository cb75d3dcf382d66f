# The public keys with which service account tokens are checked. Runs as root on the control plane.
# Out: a JSON Web Key Set.

kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /openid/v1/jwks
