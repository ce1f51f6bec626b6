# To be sourced (bash, zsh; any other POSIX shell from the checkout's folder): the environment in which `pulumi` and
# the project's Python tools run here. Says nothing, and may be sourced any number of times.
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
_lolstack_path=$_lolstack_root/.venv/bin:${XDG_CACHE_HOME:-$HOME/.cache}/lolstack/bin

case $PATH: in
  "$_lolstack_path":*) ;;
  *) PATH=$_lolstack_path:$PATH ;;
esac
export PATH

# A language host built from Go modules does not know Pulumi.yaml's `virtualenv`; this works with every host.
export PULUMI_PYTHON_CMD="$_lolstack_root/.venv/bin/python"
export PULUMI_SKIP_UPDATE_CHECK=true

# An empty passphrase is a passphrase: only an unset one is replaced.
if [ -z "${PULUMI_CONFIG_PASSPHRASE+set}" ] && [ -z "${PULUMI_CONFIG_PASSPHRASE_FILE:-}" ]; then
  export PULUMI_CONFIG_PASSPHRASE_FILE="${PULUMI_HOME:-$HOME/.pulumi}/lolstack.passphrase"
fi

# Where there is a proxy, what listens on this machine is not behind it: the stack's ports, and parts of Pulumi itself.
if [ -n "${http_proxy:-}${https_proxy:-}${all_proxy:-}${HTTP_PROXY:-}${HTTPS_PROXY:-}${ALL_PROXY:-}" ]; then
  no_proxy=${no_proxy:-${NO_PROXY:-}}
  case ,$no_proxy, in
    *,localhost,127.0.0.1,*) ;;
    *) no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1 ;;
  esac
  NO_PROXY=$no_proxy
  export no_proxy NO_PROXY
fi

# Docker's own client alone knows the context in use (a rootless engine's, Docker Desktop's); the others DOCKER_HOST.
if [ -z "${DOCKER_HOST:-}" ] \
  && { [ -n "${DOCKER_CONTEXT:-}" ] || grep -qs currentContext "${DOCKER_CONFIG:-$HOME/.docker}/config.json"; }; then
  _lolstack_engine=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)
  [ -z "$_lolstack_engine" ] || export DOCKER_HOST="$_lolstack_engine"
  unset _lolstack_engine
fi

unset _lolstack_root _lolstack_path
