# What needs root: packages, the Docker Engine, and the right to use it.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

# missing_packages: the Debian packages of the commands that are missing, one a line.
missing_packages() {
  local command interpreter
  for command in curl git make; do
    have "$command" || echo "$command"
  done
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
  if ! venv_is_current; then
    if interpreter=$(find_python); then
      if ! "$interpreter" -c 'import ensurepip' 2>/dev/null; then
        # Debian's interpreter comes without the means to make a virtual environment.
        [[ $(readlink -f "$interpreter") == /usr/bin/* ]] \
          || fail "$interpreter has no ensurepip module, so it cannot make a virtual environment"
        "$interpreter" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
      fi
    elif ! have python3; then
      printf '%s\n' python3 python3-venv
    fi
  fi
  [[ $for_tests == no ]] || has_java || echo default-jre-headless
  [[ $for_tests == no ]] || has_browser || printf '%s\n' chromium-headless-shell fonts-liberation
}

# has_browser: whether the tests have a Chromium to open pages in; tools/chromium.py looks for the same.
has_browser() { have chromium-headless-shell || have chromium || have google-chrome; }

# has_java: whether Spark's is there, 17 or newer.
has_java() {
  local version
  version=$("${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  ((${version:-0} >= 17))
}

# ensure_system: sets docker_version. What is missing is installed as root, or the command to do so is the error.
ensure_system() {
  local packages wants=()
  packages=$(missing_packages | paste -sd ' ')
  [[ -z $packages ]] || wants+=("the packages $packages")
  find_docker
  case $docker_state in
    absent | stopped) wants+=("the Docker Engine ($docker_state)") ;;
    denied)
      [[ " $(id -nG "$(id -un)") " != *' docker '* ]] \
        || fail "$(id -un) is in the group docker, but this login is older: log out and in again"
      wants+=("$(id -un)'s right to use the Docker Engine")
      ;;
    answers) needs_mmdebstrap && wants+=('mmdebstrap, for no container registry answers') ;;
  esac
  if ((${#wants[@]})); then
    if [[ $EUID == 0 ]]; then
      set_up_system root
    elif have sudo && sudo -n true 2>/dev/null; then
      say "using sudo for $(join "${wants[@]}")"
      sudo "--preserve-env=$proxies" "${system_command[@]}" 9>&-
    elif [[ $docker_state == answers && -z $packages ]]; then
      # Images may still come from a mirror that the stack's configuration names: a word, not an error.
      say "no container registry answers; to build images without one, run:
  $(as_root apt-get install mmdebstrap uidmap)"
    else
      fail "root is needed for $(join "${wants[@]}"); run this, then start again:
  $(as_root "${system_command[@]}")"
    fi
    find_docker
    [[ $docker_state != denied ]] \
      || fail "$(id -un) may use the Docker Engine from the next login on: log out and in again"
  fi
  [[ $docker_state == answers ]] || fail "the Docker Engine does not answer: $docker_error"
}

# set_up_system USER: as root, to a Docker Engine that answers, which USER may use.
set_up_system() {
  local user=$1 packages
  export DEBIAN_FRONTEND=noninteractive
  packages=$(missing_packages)
  if [[ -n $packages ]]; then
    # shellcheck disable=SC2086  # words
    install_packages $packages
  fi
  find_docker
  if ! have dockerd && [[ $docker_state == absent ]]; then
    install_docker
  elif ! have docker; then
    install_packages docker-cli
  fi
  find_docker
  [[ $docker_state != stopped ]] || start_docker
  if [[ $user != root && " $(id -nG "$user") " != *' docker '* ]] && getent group docker >/dev/null; then
    step "adding $user to the group docker, which may use the Docker Engine (as much as being root)" \
      usermod -aG docker "$user"
  fi
  if needs_mmdebstrap; then
    # uidmap: with it mmdebstrap needs no root either.
    install_packages mmdebstrap uidmap
  fi
}

# install_packages PACKAGE…: never at the price of one that is there.
install_packages() {
  have apt-get || fail "this set-up knows Debian's packages only; install what matches these yourself: $*"
  step "installing the packages $*" apt_install "$@"
}

apt_install() {
  apt-get -q update && apt-get -qy -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install --no-install-recommends --no-remove "$@"
}

readonly proxies=http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY

# as_root COMMAND…: the words by which a person runs it.
as_root() {
  local name preserved='' command
  command=$(printf '%q ' "$@")
  if have sudo; then
    for name in ${proxies//,/ }; do
      [[ -z ${!name:-} ]] || preserved+=,$name
    done
    echo "sudo ${preserved:+--preserve-env=${preserved#,} }$command"
  else
    command=${command% }
    echo "su -c ${command@Q}"
  fi
}

join() {
  local IFS=';' text
  text=$*
  echo "${text//;/; }"
}
