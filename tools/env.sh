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

unset _lolstack_root _lolstack_path
