#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# with-postgres.sh COMMAND…  runs a command beside a private PostgreSQL: in a temporary folder, reached through a socket there,
# without a port. LASTRO_TEST_POSTGRES names it to the tests; without this script each test program starts one for itself.
set -euo pipefail

bin=$(dirname "$(readlink -f "$(command -v pg_ctl || true)")")
[ -x "$bin/initdb" ] || bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -1)
dir=$(mktemp -d /tmp/lastro-pg-XXXXXX)
as=()
if [ "$(id -u)" = 0 ]; then # initdb refuses root
  user=postgres; id -u $user >/dev/null 2>&1 || user=nobody
  chown "$user" "$dir"
  as=(setpriv "--reuid=$user" "--regid=$(id -g $user)" --clear-groups env "HOME=$dir")
fi
cd_and() { (cd "$dir" && "${as[@]}" "$@"); }
stop() {
  cd_and "$bin/pg_ctl" -D "$dir/data" -m immediate -s stop 2>/dev/null || true
  rm -rf "$dir"
}
trap stop EXIT
cd_and "$bin/initdb" -D "$dir/data" -U lastro -A trust --no-sync -E UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US >"$dir/initdb.log" 2>&1 ||
  { rm -rf "$dir/data"; cd_and "$bin/initdb" -D "$dir/data" -U lastro -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1; } ||
  { cat "$dir/initdb.log" >&2; exit 1; }
cd_and "$bin/pg_ctl" -D "$dir/data" -s -w -l "$dir/log" -o "-k $dir -c listen_addresses= -c shared_buffers=32MB -c max_connections=200" start </dev/null >/dev/null 2>&1 ||
  { cat "$dir/log" >&2; exit 1; }
LASTRO_TEST_POSTGRES="postgres://lastro@/postgres?host=$dir" LASTRO_TEST_POSTGRES_REQUIRED=1 "$@"
