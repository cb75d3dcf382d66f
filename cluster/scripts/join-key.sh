# Makes the key with which the control plane asks a node to join. It never leaves this host.
# Out: the public half.

key=/root/.ssh/groundwork-join
install -d -m 0700 /root/.ssh
if [ ! -s "$key.pub" ]; then
  rm -f "$key" "$key.pub"
  ssh-keygen -q -t ed25519 -N '' -C groundwork-join -f "$key"
fi
cut -d' ' -f1,2 "$key.pub"
