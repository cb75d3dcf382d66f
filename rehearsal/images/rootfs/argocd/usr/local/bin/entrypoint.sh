#!/bin/sh
# Run a command; as the container's first process under tini, so that orphans are reaped.
if [ "$$" -eq 1 ]; then
  exec tini -- "$@"
fi
exec "$@"
