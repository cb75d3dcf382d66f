#!/bin/sh
# Options or a configuration file alone mean redis-server with them; anything else is a command.
case "${1:-}" in
  '' | -* | *.conf) exec redis-server "$@" ;;
  *) exec "$@" ;;
esac
