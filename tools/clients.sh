#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clients.sh PYTHON [long]  installs tools/requirements-clients.txt for the tests of MLflow's clients, once, and prints its
# folder: FOLDER/packages, and FOLDER/VERSION for each client; with long also what "long" names there, in FOLDER/long.
# PYTHON is the interpreter of the tests.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
file=$here/requirements-clients.txt
dir=${XDG_CACHE_HOME:-$HOME/.cache}/lastro/clients-$(grep -v '^long ' "$file" | sha256sum | cut -c1-12)
if [ ! -e "$dir/.complete" ]; then
  mkdir -p "${dir%/*}"
  new=$(mktemp -d "$dir.XXXXXX")
  put() { "$1" -m pip -q --disable-pip-version-check install --no-deps --target "$new/$2" "${@:3}" >&2; }
  # shellcheck disable=SC2046 # one word a package
  put "$1" packages $(grep -E '^[a-z]+[a-z-]*==' "$file")
  # shellcheck disable=SC2086 # one word a package
  while read -r version more; do put "$1" "$version" "mlflow-skinny==$version" $more; done < <(sed -n 's/^client //p' "$file")
  touch "$new/.complete"
  mv -T "$new" "$dir" 2>/dev/null || rm -rf "$new" # another one was faster
fi
if [ "${2:-}" = long ] && [ ! -e "$dir/long/.complete" ]; then
  # shellcheck disable=SC2046 # one word a package
  "$1" -m pip -q --disable-pip-version-check install --target "$dir/long" $(sed -n 's/^long //p' "$file") >&2
  # numpy and what else the tests have must be theirs, or two versions of it meet.
  (cd "$dir/long" && rm -rf numpy numpy-*.dist-info numpy.libs)
  touch "$dir/long/.complete"
fi
echo "$dir"
