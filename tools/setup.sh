#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what lastro needs beyond Go, Python 3.11 and git on Debian 12: through apt when root, otherwise it prints the
# exact command and stops. It does nothing, quickly, when all is there.
set -euo pipefail

go_version=$(go env GOVERSION 2>/dev/null || true)
case "$go_version" in
  "") echo "lastro is built with Go 1.21 or newer, and no go command was found. Install it, then run the same command again." >&2; exit 1 ;;
  go1.[0-9]|go1.[0-9].*|go1.1[0-9]*|go1.20*) echo "This is $go_version; lastro needs Go 1.21 or newer, which fetches the version it needs by itself." >&2; exit 1 ;;
esac

python=$(command -v python3.11 || command -v python3 || true)
missing=()
command -v git >/dev/null || missing+=(git)
command -v g++ >/dev/null || missing+=(g++)            # the data engine links libstdc++
if [ "$(id -u)" = 0 ]; then command -v bwrap >/dev/null || missing+=(bubblewrap); fi  # --strict; without it Landlock is used
[ -n "$python" ] || missing+=(python3)
if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then missing+=(python3-venv); fi
# `setup.sh test`: tests start a PostgreSQL of their own, from these programs alone.
[ "${1:-}" != test ] || command -v pg_ctl >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/pg_ctl' >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]} …"
  if [[ " ${missing[*]} " == *" postgresql "* ]]; then # the programs, without a cluster of the system's
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "Missing: ${missing[*]}. Run this, then the same make command again:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
  exit 1
fi
