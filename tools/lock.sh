#!/usr/bin/env bash
# Writes each requirements.txt from its requirements.in: all packages, also indirect ones, with versions and hashes.
# pip then installs nothing that is not listed, and no file with another hash. Run it after a change of a .in file.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
# uv does not read pip's configuration.
UV_DEFAULT_INDEX=${PIP_INDEX_URL:-$("$folder/venv/bin/pip" config get global.index-url 2>/dev/null || true)}
[[ -z $UV_DEFAULT_INDEX ]] && unset UV_DEFAULT_INDEX || export UV_DEFAULT_INDEX

lock() { # lock FILE [OPTION…]
  "$folder/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command tools/lock.sh --output-file "$1.txt" "${@:2}" "$1.in"
}

lock requirements-test # has all the others, so that a package has the same version in all of them
for each in requirements job/requirements generator/requirements dashboard/requirements; do
  lock "$each" --constraints requirements-test.txt
done
