# One database in pg_dump's own format, of one moment.
set -eu
PGUSER=$(cat /run/secrets/database/username)
PGPASSWORD=$(cat /run/secrets/database/password)
export PGUSER PGPASSWORD
pg_dump --host=postgresql --format=custom --file="/backup/$(date -u +%Y-%m-%dT%H%M%SZ).dump"
