# The data set as an RDB file, which the server makes for a replica.
set -eu
REDISCLI_AUTH=$(cat /run/secrets/database/password)
export REDISCLI_AUTH
redis-cli -h redis --rdb "/backup/$(date -u +%Y-%m-%dT%H%M%SZ).rdb"
