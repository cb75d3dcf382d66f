#!/bin/sh
# Verify the signature of a commit or an annotated tag for Argo CD: what git says goes to stdout,
# and a missing or bad signature (status 1) is an answer, not an error.
if [ $# -ne 1 ]; then
  echo "usage: git-verify-wrapper.sh REVISION" >&2
  exit 2
fi
kind=commit
if git describe "$1" >/dev/null 2>&1; then
  kind=tag
fi
answer=$(git "verify-$kind" "$1" 2>&1)
status=$?
if [ "$status" -gt 1 ]; then
  printf '%s\n' "$answer" >&2
  exit "$status"
fi
printf '%s\n' "$answer"
