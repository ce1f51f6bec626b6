#!/usr/bin/env bash
# Makes this machine ready for `pulumi up`: Docker Engine, Pulumi with its plugins, Python environment.
#
#   tools/setup.sh [tests]                everything; root, or sudo that asks for no password, is used for `system`
#   tools/setup.sh system [USER [tests]]  only what needs root: packages, Docker Engine, USER's right to use it
#
# With `tests` also what the tests need: their Python packages, Java for Spark, and a Chromium for pages.
#
# What is there is used. What is missing comes the vendor's way; where that is out of reach, from Debian's packages
# and Go modules. Asks nothing, and with nothing to do says so in one line. Proxies: http_proxy, https_proxy, no_proxy.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lolstack
bin=$cache/bin
venv=$root/.venv

# The machine's own tools are what is looked for, whoever has sourced env.sh; an ordinary user's PATH lacks sbin.
PATH=:$PATH:/usr/local/sbin:/usr/sbin:/sbin:
PATH=${PATH//:"$venv/bin":/:}
PATH=${PATH//:"$bin":/:}
PATH=${PATH#:}
PATH=${PATH%:}
export PATH

# shellcheck source=versions.env
source "$root/tools/versions.env"
# shellcheck source=setup.d/report.sh
source "$root/tools/setup.d/report.sh"
# shellcheck source=setup.d/system.sh
source "$root/tools/setup.d/system.sh"
# shellcheck source=setup.d/docker.sh
source "$root/tools/setup.d/docker.sh"
# shellcheck source=setup.d/python.sh
source "$root/tools/setup.d/python.sh"
# shellcheck source=setup.d/pulumi.sh
source "$root/tools/setup.d/pulumi.sh"

for_tests=no  # or yes
system_command=("$root/tools/setup.sh" system "$(id -un)")
if [[ $# -gt 0 && ${!#} == tests ]]; then
  for_tests=yes
  system_command+=(tests)
fi

case ${1:-} in
  '' | tests)
    open_log "$cache/setup.log"
    ensure_system
    ensure_venv
    ensure_pulumi
    ensure_passphrase
    say "ready: Docker Engine $docker_version, Pulumi $pulumi_version, Python $python_version"
    ;;
  system)
    [[ $EUID == 0 ]] || fail "'system' needs root: $(as_root "${system_command[@]}")"
    open_log /var/log/lolstack-setup.log
    set_up_system "${2:-root}"
    say "the system's part is ready: Docker Engine $docker_version"
    ;;
  *)
    fail "unknown argument '$1'; there are: [tests] | system [USER [tests]]"
    ;;
esac
