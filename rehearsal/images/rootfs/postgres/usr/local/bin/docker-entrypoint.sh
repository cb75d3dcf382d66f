#!/bin/sh
# Makes the database on the first start, then runs the server. The environment variables are those
# of the official image: POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, POSTGRES_USER, POSTGRES_DB,
# POSTGRES_INITDB_ARGS, PGDATA.
set -eu
case "${1:-}" in
  '' | -*) set -- postgres "$@" ;;
esac

if [ "$1" = postgres ] && ! [ -s "$PGDATA/PG_VERSION" ]; then
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  fi
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then
    echo "a new database needs a password; set POSTGRES_PASSWORD_FILE" >&2
    exit 1
  fi
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  # under another name until it is whole: whoever was killed on the way begins anew
  new=$PGDATA.new
  rm -rf "$new"
  umask 077
  mkdir -p "$new"
  password=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" >"$password"
  # shellcheck disable=SC2086  # several arguments
  initdb --pgdata "$new" --username "$user" --pwfile "$password" ${POSTGRES_INITDB_ARGS:-}
  rm "$password"
  if [ "$database" != postgres ]; then
    pg_ctl --pgdata "$new" --wait --options "-c listen_addresses=''" start
    createdb --username "$user" --maintenance-db postgres "$database"
    pg_ctl --pgdata "$new" --wait --mode fast stop
  fi
  mv "$new" "$PGDATA"
fi
unset POSTGRES_PASSWORD
exec "$@"
