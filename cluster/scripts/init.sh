# kubeadm init, once. Runs as root on the first control-plane node; may be run again.
# In: NODE_NAME ADDRESS APPROVE_SCRIPT (base64)
#     stdin: kubeadm's configuration.
# Out: admin.conf (a secret).

say() { echo "$*" >&2; }
config=/etc/kubernetes/groundwork-init.yaml
done_marker=/etc/kubernetes/groundwork-initialized # written last: the only sound "done"
export KUBECONFIG=/etc/kubernetes/admin.conf

mkdir -p /etc/kubernetes
cat >"$config"
if [ ! -f "$done_marker" ]; then
  if [ -e /etc/kubernetes/manifests/kube-apiserver.yaml ] || [ -d /var/lib/etcd/member ]; then
    say "an earlier kubeadm init did not finish: resetting"
    kubeadm reset --force >/var/log/kubeadm-reset.log 2>&1
    rm -rf /var/lib/etcd/member
  fi
  say "kubeadm init"
  if ! kubeadm init --config "$config" >/var/log/kubeadm-init.log 2>&1; then
    say "kubeadm init failed; the end of /var/log/kubeadm-init.log:"
    tail -n 30 /var/log/kubeadm-init.log | sed -E 's/(token |certificate-key |sha256:)[^ ]+/\1***/' >&2
    exit 1
  fi
  touch "$done_marker"
fi

# Again and again without a miss: as long as no target of a load balancer has passed its health
# check, it leads to each of them, and those that are to join later do not answer yet.
deadline=$((SECONDS + 300)) answers=0
until [ $answers -eq 8 ]; do
  if kubectl get --raw=/readyz >/dev/null 2>&1; then
    answers=$((answers + 1))
    continue
  fi
  answers=0
  if [ $SECONDS -gt $deadline ]; then
    say "the API server did not become ready within 5 minutes: $(kubectl get --raw=/readyz 2>&1 | tail -n 1)"
    exit 1
  fi
  sleep 1
done

# Without a serving certificate no container can be entered. A kubelet renews it months before its
# end, and asks again every 15 minutes.
serving_certificate "$NODE_NAME" "$ADDRESS"
base64 -d <<<"$APPROVE_SCRIPT" >/usr/local/sbin/groundwork-approve
chmod 0755 /usr/local/sbin/groundwork-approve
cat >/etc/systemd/system/groundwork-approve.service <<'UNIT'
[Unit]
Description=Approve renewals of the kubelets' serving certificates
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/groundwork-approve
UNIT
cat >/etc/systemd/system/groundwork-approve.timer <<'UNIT'
[Unit]
Description=Approve renewals of the kubelets' serving certificates
[Timer]
OnActiveSec=5min
OnUnitActiveSec=5min
[Install]
WantedBy=timers.target
UNIT
systemctl daemon-reload
systemctl enable -q --now groundwork-approve.timer
cat "$KUBECONFIG"
