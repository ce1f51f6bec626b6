# To be sourced: the environment for `pulumi` and the project's Python tools. Idempotent, prints nothing.
# bash and zsh can source it from anywhere, any other POSIX shell from the checkout's folder.
# Other Pulumi projects need another shell: they would use this one's Python and passphrase.
# shellcheck shell=sh

if [ -n "${BASH_VERSION:-}" ]; then
  # shellcheck disable=SC3028,SC3054  # bash only
  _lolstack_root=$(eval 'dirname -- "${BASH_SOURCE[0]}"')/..
elif [ -n "${ZSH_VERSION:-}" ]; then
  _lolstack_root=$(eval 'dirname -- "${(%):-%x}"')/..
else
  _lolstack_root=.
fi
_lolstack_root=$(CDPATH='' cd -- "$_lolstack_root" && pwd)
# As Pulumi: the home folder of the passwd entry. HOME may be another user's (with sudo) or not set.
_lolstack_home=$(getent passwd "$(id -u)" | cut -d : -f 6) || true
_lolstack_home=${_lolstack_home:-${HOME:-}}
[ -n "${HOME:-}" ] || export HOME="$_lolstack_home"
_lolstack_path=$_lolstack_root/.venv/bin:${XDG_CACHE_HOME:-$_lolstack_home/.cache}/lolstack/bin

case $PATH: in
  "$_lolstack_path":*) ;;
  *) PATH=$_lolstack_path:$PATH:/usr/local/bin:/snap/bin ;; # the PATH of cron lacks these, where docker can be
esac
export PATH

# A language host that is built from Go modules ignores the option `virtualenv` of Pulumi.yaml; any host reads this.
export PULUMI_PYTHON_CMD="$_lolstack_root/.venv/bin/python"
export PULUMI_SKIP_UPDATE_CHECK=true
# With a time in each image, two builds of the same tag would have different ids. In containerd's image store the later
# one, of another stack, then takes the place of the earlier, whose containers have no image any more.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1

# An empty passphrase is valid; only an unset one is replaced.
if [ -z "${PULUMI_CONFIG_PASSPHRASE+set}" ] && [ -z "${PULUMI_CONFIG_PASSPHRASE_FILE:-}" ]; then
  export PULUMI_CONFIG_PASSPHRASE_FILE="${PULUMI_HOME:-$_lolstack_home/.pulumi}/lolstack.passphrase"
fi

# apt, for example, reads a proxy only in lower case.
[ -z "${HTTP_PROXY:-}" ] || export http_proxy="${http_proxy:-$HTTP_PROXY}"
[ -z "${HTTPS_PROXY:-}" ] || export https_proxy="${https_proxy:-$HTTPS_PROXY}"

# With a proxy: connect to this machine directly, for the stack's ports and Pulumi's own processes.
if [ -n "${http_proxy:-}${https_proxy:-}${all_proxy:-}${ALL_PROXY:-}" ]; then
  [ "${no_proxy:-}" = "${NO_PROXY:-}" ] || no_proxy=${no_proxy:-}${no_proxy:+${NO_PROXY:+,}}${NO_PROXY:-}
  case ,${no_proxy:-}, in
    *,\*,*) no_proxy=* ;; # every host; in a list, most programs take it as a name
    *,localhost,127.0.0.1,*) ;;
    *) no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1 ;;
  esac
  NO_PROXY=$no_proxy
  export no_proxy NO_PROXY
fi

# TLS settings of another engine, left over from `minikube docker-env` or docker-machine. A local socket has no TLS, and
# Docker's clients cannot connect to it with these.
case ${DOCKER_HOST:-unix:} in
  unix:*) unset DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH ;;
esac
# Only Docker's own client reads the Docker context (of a rootless engine, of Docker Desktop); other clients read
# DOCKER_HOST.
if [ -z "${DOCKER_HOST:-}" ] \
  && { [ -n "${DOCKER_CONTEXT:-}" ] || grep -qs currentContext "${DOCKER_CONFIG:-$HOME/.docker}/config.json"; }; then
  _lolstack_engine=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)
  [ -z "$_lolstack_engine" ] || export DOCKER_HOST="$_lolstack_engine"
  unset _lolstack_engine
fi
# Pulumi's Docker provider would use it in place of DOCKER_HOST, contrary to Docker's own client.
[ -z "${DOCKER_HOST:-}" ] || unset DOCKER_CONTEXT

unset _lolstack_root _lolstack_home _lolstack_path
