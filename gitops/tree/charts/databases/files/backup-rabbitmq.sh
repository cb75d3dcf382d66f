# Users, vhosts, queues, exchanges, bindings, policies; no messages.
set -eu
printf 'user = "%s:%s"\n' "$(cat /run/secrets/database/username)" "$(cat /run/secrets/database/password)" |
  curl --fail --silent --show-error --retry 5 --retry-connrefused --config - \
    --output "/backup/$(date -u +%Y-%m-%dT%H%M%SZ).json" http://rabbitmq:15672/api/definitions
