# Makes a Debian host ready for kubeadm: packages, kernel settings, container runtime.
# Runs as root on every node; may be run again at any time.
# In: NODE_NAME KUBERNETES_VERSION PACKAGE_VERSION PACKAGES_URL PACKAGES_KEY_URL IMAGE_MIRROR
#     CONTAINERD_CONFIG (base64) JOIN_SCRIPT (base64) JOIN_KEY (an SSH public key or empty) SSH_USER
# Out: the host's ed25519 SSH public key.

exec 3>&1 1>&2 # what is printed on the way is no output
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5 -o Dpkg::Options::=--force-confold)

say() { echo "$*" >&2; }

# write_file PATH: stdin to PATH, by rename; true when it changed
write_file() {
  local new
  mkdir -p "$(dirname "$1")"
  new=$(mktemp "$1.XXXXXX")
  cat >"$new"
  if [ -f "$1" ] && cmp -s "$new" "$1"; then
    rm -f "$new"
    return 1
  fi
  chmod 0644 "$new"
  mv "$new" "$1"
}

installed() { dpkg-query -W -f '${Status} ${Version}' "$1" 2>/dev/null || true; }

say "host name $NODE_NAME"
[ "$(hostname)" = "$NODE_NAME" ] || hostnamectl set-hostname "$NODE_NAME"
grep -qE "^127\.0\.1\.1\s+$NODE_NAME$" /etc/hosts || {
  { grep -v '^127\.0\.1\.1' /etc/hosts || true; echo "127.0.1.1 $NODE_NAME"; } | write_file /etc/hosts
}

say "kernel settings"
printf 'overlay\nbr_netfilter\n' | write_file /etc/modules-load.d/kubernetes.conf || true
grep -qw overlay /proc/filesystems || modprobe overlay
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || modprobe br_netfilter
printf 'net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n' |
  write_file /etc/sysctl.d/90-kubernetes.conf || true
sysctl -q -p /etc/sysctl.d/90-kubernetes.conf
if [ "$(wc -l </proc/swaps)" -gt 1 ]; then
  swapoff -a
  sed -i '/\sswap\s/s/^/#/' /etc/fstab
fi

need=(ca-certificates curl gnupg containerd conntrack socat iptables ethtool openssh-client)
missing=()
for package in "${need[@]}"; do
  [[ "$(installed "$package")" == "install ok installed"* ]] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "packages: ${missing[*]}"
  "${apt[@]}" update
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
fi

outdated=()
for package in kubeadm kubelet kubectl; do
  [ "$(installed "$package")" = "hold ok installed $PACKAGE_VERSION" ] || outdated+=("$package")
done
if [ ${#outdated[@]} -gt 0 ]; then
  say "packages: ${outdated[*]} $PACKAGE_VERSION"
  keyring=/etc/apt/keyrings/kubernetes.gpg
  mkdir -p "$(dirname "$keyring")"
  curl -fsSL --retry 5 --retry-connrefused "$PACKAGES_KEY_URL" | gpg --dearmor --yes -o "$keyring.new"
  mv "$keyring.new" "$keyring"
  echo "deb [signed-by=$keyring] $PACKAGES_URL /" >/etc/apt/sources.list.d/kubernetes.list
  "${apt[@]}" update -o Dir::Etc::sourcelist=sources.list.d/kubernetes.list -o Dir::Etc::sourceparts=-
  "${apt[@]}" install -y --no-install-recommends --allow-change-held-packages \
    "kubeadm=$PACKAGE_VERSION" "kubelet=$PACKAGE_VERSION" "kubectl=$PACKAGE_VERSION"
  apt-mark -qq hold kubeadm kubelet kubectl
fi

say "container runtime"
changed=0
base64 -d <<<"$CONTAINERD_CONFIG" | write_file /etc/containerd/config.toml && changed=1
mirror=/etc/containerd/certs.d/_default/hosts.toml
if [ -n "$IMAGE_MIRROR" ]; then
  printf '[host."%s"]\n  capabilities = ["pull", "resolve"]\n' "$IMAGE_MIRROR" | write_file "$mirror" || true
else
  rm -f "$mirror"
fi
printf 'runtime-endpoint: unix:///run/containerd/containerd.sock\n' | write_file /etc/crictl.yaml || true
if [ "$changed" = 1 ] || ! systemctl is-active -q containerd; then
  systemctl restart containerd
fi
systemctl enable -q containerd kubelet

if [ -n "$JOIN_KEY" ]; then
  say "join by the control plane"
  join=/usr/local/lib/groundwork/join
  base64 -d <<<"$JOIN_SCRIPT" | write_file "$join" || true
  chmod 0755 "$join"
  authorized=/home/$SSH_USER/.ssh/authorized_keys
  line="restrict,command=\"sudo -n $join \\\"\$SSH_ORIGINAL_COMMAND\\\"\" $JOIN_KEY"
  { grep -v 'groundwork/join' "$authorized" || true; echo "$line"; } >"$authorized.new"
  chown "$SSH_USER": "$authorized.new"
  chmod 0600 "$authorized.new"
  mv "$authorized.new" "$authorized"
fi

kubeadm version -o short | grep -qxF "v$KUBERNETES_VERSION"
cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub >&3
