#!/bin/sh
# Pod network of one node: connects its pods with those of all other nodes over VXLAN, and writes
# the CNI configuration by which the kubelet's container runtime gives each pod its address.
#
# Each node has a VXLAN device, a bridge for its pods and, for each other node, a route, a
# neighbour and a forwarding entry made from that node's pod range and address: the device's
# hardware addresses follow from the nodes' addresses, so the list of nodes is all there is to know.
set -eu

node=${NODE_NAME:?is set from spec.nodeName}
api=${API_URL:-https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT}
account=${ACCOUNT_DIR:-/var/run/secrets/kubernetes.io/serviceaccount}
plugins=${PLUGIN_DIR:-/opt/cni/bin}
host_plugins=${HOST_PLUGIN_DIR:-/host/opt/cni/bin}
host_config=${HOST_CONFIG_DIR:-/host/etc/cni/net.d}
state=${STATE_DIR:-/run/agent}

device=vxlan.pods
vni=4096
port=4789
overhead=50 # bytes that VXLAN over IPv4 adds to a packet
newline='
'
# "name pod-range address" of a node that has all three
node_line='[.metadata.name, .spec.podCIDR // "",
  (first(.status.addresses[]? | select(.type == "InternalIP") | .address) // "")]
  | select(all(. != "")) | join(" ")'

log() { echo "$(date -u +%FT%TZ) $*" >&2; }

# PATH [CURL OPTIONS...]: what the API server answers. The token goes by stdin: `ps` shows
# arguments to everybody.
ask() {
  path=$1
  shift
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$account/token")" |
    curl --config - --silent --show-error --fail --no-buffer --connect-timeout 3 \
      --cacert "$account/ca.crt" "$@" "$api$path"
}

# ADDRESS: the hardware address of that node's VXLAN device (locally administered)
hardware_address() (
  IFS=.
  # shellcheck disable=SC2086 # split at the dots
  set -- $1
  printf '02:00:%02x:%02x:%02x:%02x\n' "$1" "$2" "$3" "$4"
)

# ADDRESS: "name mtu" of the network device that has it
link_of() {
  ip -json -4 address show | jq -er --arg address "$1" \
    'first(.[] | select(any(.addr_info[]?; .local == $address)) | "\(.ifname) \(.mtu)")'
}

# Copies aside and renames: a plugin may be running, and none may be seen half-written.
install_plugins() {
  mkdir -p "$host_plugins" "$host_config"
  for plugin in "$plugins"/*; do
    target=$host_plugins/${plugin##*/}
    cp "$plugin" "$target.new"
    mv "$target.new" "$target"
  done
}

# OWN_RANGE OWN_ADDRESS LINK MTU
ensure_device() {
  mac=$(hardware_address "$2")
  current=$(ip -json -details link show "$device" 2>/dev/null | jq -r \
    '.[0] | "\(.linkinfo.info_data | "\(.local) \(.link)") \(.mtu) \(.address)"') || current=
  if [ "$current" != "$2 $3 $4 $mac" ]; then
    log "making $device: $2 over $3, MTU $4"
    ip link delete "$device" 2>/dev/null || :
    ip link add "$device" address "$mac" mtu "$4" type vxlan \
      id "$vni" local "$2" dev "$3" dstport "$port" nolearning || return
  fi
  # A pod range's first address is no pod's: it is the node's own in the pod network.
  ip address replace "${1%/*}/32" dev "$device" || return
  ip link set "$device" up
}

# OWN_RANGE PEER...: packets from pods leave the pod network with the node's address. That holds for
# other nodes' own addresses too: a cloud drops what an instance sends under foreign addresses.
masquerade() {
  own=$1
  shift
  ranges=$own
  for peer in "$@"; do
    range=${peer#* }
    ranges="$ranges, ${range% *}"
  done
  nft -f - <<RULES
table ip rehearsal_cni
delete table ip rehearsal_cni
table ip rehearsal_cni {
  set pods {
    type ipv4_addr
    flags interval
    elements = { $ranges }
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    ip saddr $own ip daddr != @pods ip daddr != 224.0.0.0/4 masquerade
  }
}
RULES
}

# PEER...: routes to these nodes' pods, and none to others.
connect() {
  wanted_ranges=' '
  wanted_addresses=' '
  : >"$state/ip"
  : >"$state/bridge"
  for peer in "$@"; do
    address=${peer##* }
    range=${peer#* }
    range=${range% *}
    mac=$(hardware_address "$address")
    wanted_ranges="$wanted_ranges$range "
    wanted_addresses="$wanted_addresses$address "
    {
      echo "neighbour replace ${range%/*} lladdr $mac dev $device nud permanent"
      echo "route replace $range via ${range%/*} dev $device onlink"
    } >>"$state/ip"
    echo "fdb replace $mac dev $device dst $address self permanent" >>"$state/bridge"
  done
  ip -json route show dev "$device" | jq -r '.[] | select(.gateway) | .dst' >"$state/routes"
  while read -r range; do
    case $wanted_ranges in *" $range "*) continue ;; esac
    log "no node has $range any more"
    echo "route delete $range dev $device" >>"$state/ip"
    echo "neighbour delete ${range%/*} dev $device" >>"$state/ip"
  done <"$state/routes"
  bridge -json fdb show dev "$device" | jq -r '.[] | select(.dst) | "\(.mac) \(.dst)"' >"$state/fdb"
  while read -r mac address; do
    case $wanted_addresses in *" $address "*) continue ;; esac
    echo "fdb delete $mac dev $device dst $address self" >>"$state/bridge"
  done <"$state/fdb"
  bridge -batch "$state/bridge" && ip -batch "$state/ip"
}

# OWN_RANGE MTU
write_config() {
  config=$host_config/10-rehearsal.conflist
  cat >"$state/conflist" <<CONFIG || return
{
  "cniVersion": "1.0.0",
  "name": "rehearsal",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isDefaultGateway": true,
      "hairpinMode": true,
      "mtu": $2,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": "$1"}]]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
CONFIG
  if [ "$(cat "$state/conflist")" != "$(cat "$config" 2>/dev/null)" ]; then
    # Not a name that the runtime reads, until it is whole.
    cp "$state/conflist" "$config.new" && mv "$config.new" "$config" || return
    log "wrote ${config##*/} for $1"
  fi
  : >"$state/ready"
}

# Makes this node as `nodes` wants it. Safe to run at any time, any number of times.
apply() {
  own=
  rest=$nodes
  set --
  while [ -n "$rest" ]; do
    line=${rest%%"$newline"*}
    rest=${rest#*"$newline"}
    case $line in
      "$node "*) own=${line#* } ;;
      *) set -- "$@" "$line" ;;
    esac
  done
  if [ -z "$own" ]; then
    log "node $node has no pod range yet"
    return
  fi
  own_range=${own% *}
  own_address=${own#* }
  link=$(link_of "$own_address") || { log "no device has $own_address"; return 1; }
  mtu=$((${link#* } - overhead))
  ensure_device "$own_range" "$own_address" "${link% *}" "$mtu" &&
    masquerade "$own_range" "$@" &&
    connect "$@" &&
    write_config "$own_range" "$mtu"
}

apply_until_done() {
  until apply; do
    log "trying again"
    sleep 1
  done
}

# NAME: `nodes` without that node's line
forget() {
  kept=
  rest=$nodes
  while [ -n "$rest" ]; do
    line=${rest%%"$newline"*}
    rest=${rest#*"$newline"}
    case $line in "$1 "*) ;; *) kept=$kept$line$newline ;; esac
  done
  nodes=$kept
}

# KIND LINE: one event of the watch. Most are a node's heartbeat and change nothing.
handle() {
  case $1 in
    ADDED | MODIFIED)
      case $newline$nodes in *"$newline$2$newline"*) return ;; esac
      forget "${2%% *}"
      nodes=$nodes$2$newline
      ;;
    DELETED) forget "${2%% *}" ;;
    *) return ;;
  esac
  log "$1 $2"
  apply_until_done
}

# Lists the nodes, then follows what changes until the API server ends the watch.
follow() {
  ask /api/v1/nodes --max-time 30 >"$state/list" || return
  version=$(jq -er .metadata.resourceVersion "$state/list") || return
  # The X keeps the last newline.
  nodes=$(jq -r ".items[] | $node_line" "$state/list" && echo X) || return
  nodes=${nodes%X}
  apply_until_done
  ask "/api/v1/nodes?watch=1&resourceVersion=$version&timeoutSeconds=300" --max-time 330 |
    jq --unbuffered -r ".type + \" \" + (.object | $node_line)" |
    while read -r kind line; do
      handle "$kind" "$line"
    done
}

trap 'exit 0' TERM INT
mkdir -p "$state"
rm -f "$state/ready"
install_plugins
while :; do
  # In the background, as a shell answers signals only when it is not waiting for a command.
  follow &
  wait $! || :
  sleep 1 &
  wait $! || :
done
