#!/bin/sh
# What a script reads of the platform's stacks, with the Pulumi CLI and jq.
#
#   platform.sh nodes STACK             name, role, zone and private address of each node, a line each
#   platform.sh kubeconfig STACK FILE   writes the kubeconfig to FILE, which only its owner can read
#
# STACK: by its full name, such as organization/groundwork/prod: the one with the infra layer for
# `nodes`, with the cluster layer for `kubeconfig`.
set -eu
umask 077
major=2 # of the contract that this script is written for

fail() {
  echo "platform.sh: $*" >&2
  exit 1
}

# outputs STACK: its outputs as JSON, a secret as "[secret]"; fails for another major version
outputs() {
  found=$(pulumi stack output --json --stack "$1") || fail "the outputs of $1 cannot be read"
  version=$(printf '%s' "$found" | jq -r '.contract_version // ""')
  case $version in
  "$major".*) printf '%s' "$found" ;;
  '') fail "$1 has no outputs of the platform; deploy it first" ;;
  *) fail "$1 has contract $version and this script is written for $major; see what changed" ;;
  esac
}

nodes() {
  all=$(outputs "$1")
  printf '%s' "$all" | jq -er '(.nodes // empty)[] | [.name, .role, .zone, .private_ip] | @tsv' ||
    fail "$1 has no nodes; is it the stack with the infra layer?"
}

kubeconfig() {
  all=$(outputs "$1")
  printf '%s' "$all" | jq -e 'has("kubeconfig")' >/dev/null ||
    fail "$1 has no kubeconfig; is it the stack with the cluster layer?"
  # from pipe to file: a secret in a variable ends up in a trace, in an argument in a process list
  new=$(mktemp "$2.XXXXXX")
  trap 'rm -f "$new"' EXIT
  pulumi stack output kubeconfig --show-secrets --stack "$1" >"$new"
  mv "$new" "$2"
}

case "$#:${1-}" in
2:nodes) nodes "$2" ;;
3:kubeconfig) kubeconfig "$2" "$3" ;;
*) fail 'usage: platform.sh nodes STACK | platform.sh kubeconfig STACK FILE' ;;
esac
