#!/usr/bin/env bash
# Set up this machine: Docker Engine, Pulumi with its plugins, Python environment. Idempotent and non-interactive.
#
#   tools/setup.sh         what deploying a stack needs
#   tools/setup.sh tests   also what `make test` needs: test packages, Java for Spark, Chromium for pages
#   tools/setup.sh check   only what `make check` needs: all Python packages; no Docker, Pulumi, Java or Chromium
#   tools/setup.sh system [USER [tests|check]]
#                          only the part that needs root: packages, Docker Engine, USER's permission to use it
#
# The part that needs root runs as root or with passwordless sudo; otherwise an error names the command to run.
# Existing installations are reused; anything missing is installed from its vendor or, if the vendor is unreachable,
# from Debian packages and Go modules. Proxies: http_proxy, https_proxy, no_proxy.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

# Variables of the person that change how Python runs, where it and pip find and install packages, what `cd` enters, and
# what Go builds. Proxies, mirrors and certificates stay.
unset "${!PYTHON@}" PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_CONSTRAINT
unset CDPATH GOROOT GOOS GOARCH JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS
export PIP_USER=0 PIP_DRY_RUN=0  # also in place of the options in pip.conf, with which pip installs nothing into .venv

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# As Pulumi: the home folder of the passwd entry. HOME may be another user's (with sudo) or not set.
home=$(getent passwd "$(id -u)" | cut -d : -f 6) || true
home=${home:-${HOME:-}}
export HOME=${HOME:-$home}
cache=${XDG_CACHE_HOME:-$home/.cache}/lolstack
bin=$cache/bin
venv=$root/.venv

# Search for the machine's own tools, even if env.sh was sourced. An ordinary user's PATH lacks sbin, and that of cron and
# sudo the folders of Docker's own client and of its snap.
IFS=: read -ra folders <<<"$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/snap/bin"
PATH=''
for folder in "${folders[@]}"; do
  [[ $folder == "$bin" || $folder == "$venv/bin" || $folder -ef $venv/bin ]] || PATH+=${PATH:+:}$folder
done
export PATH

# shellcheck source=versions.env
source "$root/tools/versions.env"
# shellcheck source=setup.d/steps.sh
source "$root/tools/setup.d/steps.sh"
# shellcheck source=setup.d/system.sh
source "$root/tools/setup.d/system.sh"
# shellcheck source=setup.d/docker.sh
source "$root/tools/setup.d/docker.sh"
# shellcheck source=setup.d/python.sh
source "$root/tools/setup.d/python.sh"
# shellcheck source=setup.d/pulumi.sh
source "$root/tools/setup.d/pulumi.sh"

part=user
user=$(id -un)
if [[ ${1:-} == system ]]; then
  part=system
  user=${2:-root}
  shift $(($# < 2 ? $# : 2))
fi
purpose=${1:-deploy}
if [[ $# -gt 1 || ! $purpose =~ ^(deploy|tests|check)$ ]]; then
  fail "unknown arguments; usage: tools/setup.sh [tests|check] | system [USER [tests|check]]"
fi
system_command=("$root/tools/setup.sh" system "$user")
[[ $purpose == deploy ]] || system_command+=("$purpose")
needs_docker() { [[ $purpose != check ]]; }
needs_test_packages() { [[ $purpose != deploy ]]; }
needs_java_and_browser() { [[ $purpose == tests ]]; }

if [[ $part == system ]]; then
  is_root || fail "'system' needs root: $(as_root "${system_command[@]}")"
  open_log /var/log/lolstack-setup.log
  set_up_system "$user"
  say "system part ready${docker_version:+: Docker Engine $docker_version}"
  exit
fi

open_log "$cache/setup.log"
ensure_system
ensure_venv
if needs_docker; then
  ensure_pulumi
  ensure_private_state
  ensure_passphrase
  say "ready: Docker Engine $docker_version, Pulumi $pulumi_version, Python $python_version"
else
  say "ready: Python $python_version"
fi
