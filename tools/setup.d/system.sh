# The part that needs root: packages, the Docker Engine, and permission to use it.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

is_root() { [[ $EUID == 0 ]]; }

# may_become_root: whether this is root, or sudo needs no password.
may_become_root() { is_root || { have sudo && sudo -n true 2>/dev/null; }; }

# missing_packages: prints the Debian packages of the commands that are missing, one per line. Fails if the machine's
# Python does not fit: nothing of it is changed then.
missing_packages() {
  local command interpreter
  for command in curl git make; do
    have "$command" || echo "$command"
  done
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || echo ca-certificates
  if ! venv_is_current; then
    if interpreter=$(find_python); then
      has_ensurepip "$interpreter" || "$interpreter" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
    elif have python3; then
      require_python
    else
      printf '%s\n' python3 python3-venv
    fi
  fi
  if needs_java_and_browser; then
    has_java || echo default-jre-headless
    has_browser || printf '%s\n' chromium-headless-shell fonts-liberation
  fi
}

# has_browser: whether there is a Chromium for the tests; tools/chromium.py looks for the same commands.
has_browser() { have chromium-headless-shell || have chromium || have google-chrome; }

# has_java: whether Spark's minimum is there, Java 17, in JAVA_HOME or on PATH. tests/conftest.py chooses in the same way.
has_java() {
  local java version
  for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p') || version=''
    ((${version:-0} < 17)) || return 0
  done
  return 1
}

# ensure_system: sets docker_version. Installs what is missing as root, or fails with the command to run as root.
ensure_system() {
  local packages missing=()
  packages=$(missing_packages | paste -sd ' ')
  [[ -z $packages ]] || missing+=("the packages $packages")
  if needs_docker; then
    find_docker
    case $docker_state in
      absent | stopped) missing+=("the Docker Engine ($docker_state)") ;;
      failing) fail_docker ;;
      denied)
        # Only if the socket has that group, membership in the group docker helps.
        if in_group docker "$user" || [[ $(docker_socket_group) != docker ]]; then fail_denied; fi
        missing+=("$user's permission to use the Docker Engine")
        ;;
    esac
  fi
  # An engine that works may be the user's own (rootless, Docker Desktop). Root does not see it, and would set up another.
  if ! needs_docker || [[ $docker_state == available ]]; then
    if [[ -n $packages ]]; then
      # shellcheck disable=SC2086  # words
      may_become_root || fail "root is needed for the packages $packages; run this, then start again:
  $(as_root apt-get update); $(as_root apt-get install $packages)"
      # shellcheck disable=SC2086  # words
      install_packages $packages
    fi
    ! needs_docker || ensure_mmdebstrap
    return
  fi
  if is_root; then
    set_up_system root
  elif may_become_root; then
    say "using sudo for $(join "${missing[@]}")"
    sudo "--preserve-env=$proxies" "${system_command[@]}" 9>&-
  else
    fail "root is needed for $(join "${missing[@]}"); run this, then start again:
  $(as_root "${system_command[@]}")"
  fi
  find_docker
  [[ $docker_state != denied ]] || fail_denied
  [[ $docker_state == available ]] || fail_docker
}

# in_group GROUP [USER]: whether USER, or this process, is a member. A process keeps the groups of its login.
in_group() { [[ " $(id -nG ${2:+"$2"}) " == *" $1 "* ]]; }

# fail_denied: fails with what gives the user permission to use the engine.
fail_denied() {
  local socket group advice
  socket=$(docker_socket)
  group=$(docker_socket_group)
  if in_group "$group" "$user" && ! in_group "$group"; then
    fail "$user is in the group $group, which may use the Docker Engine, but this login is older: log out and in again"
  fi
  advice='give it the group docker ("group": "docker" in /etc/docker/daemon.json), and restart the engine'
  if docker_is_snap; then
    advice="run $(as_root groupadd --system --force docker), $(as_root usermod -aG docker "$user") and
  $(as_root snap restart docker), then log out and in again"
  elif [[ $group != docker && $group != root ]]; then
    advice+="; or add $user to the group $group, and log out and in again"
  fi
  fail "$user may not use the Docker Engine's socket $socket (owner and group: $(stat -Lc %U:%G "$socket" 2>&1)): $advice"
}

# ensure_mmdebstrap: installs what building base images needs, unless the engine is remote. A failure is no error: most
# stacks pull this image. Which one does is known only from its settings and its registry, at each `make up`. So it is
# tried once an hour only; building the image names the packages again.
ensure_mmdebstrap() {
  local tried=$cache/mmdebstrap-tried
  # With uidmap mmdebstrap does not need root.
  if { have mmdebstrap && have newuidmap; } || ! have apt-get || ! docker_is_local; then return; fi
  [[ -z $(find "$tried" -mmin -60 2>/dev/null) ]] || return 0
  mkdir -p "$cache" && touch "$tried"
  if may_become_root; then
    try_step "installing the packages mmdebstrap uidmap" apt_install mmdebstrap uidmap
    ((step_status)) || return 0
  fi
  say "without the packages mmdebstrap and uidmap, images can only be built where a container registry is reachable:
  $(as_root apt-get install mmdebstrap uidmap)"
}

# set_up_system USER: installs packages; installs and starts the Docker Engine; gives USER permission to use it.
set_up_system() {
  local user=$1 packages
  packages=$(missing_packages)
  if [[ -n $packages ]]; then
    # shellcheck disable=SC2086  # words
    install_packages $packages
    require_python
  fi
  needs_docker || return 0
  find_docker
  if { ! have dockerd && [[ $docker_state == absent ]]; } || docker_ce_is_incomplete; then
    install_docker
  elif ! have docker; then
    install_packages docker-cli
  fi
  find_docker
  [[ $docker_state != stopped ]] || start_docker
  [[ $docker_state != failing ]] || fail_docker
  if [[ $user != root ]] && ! in_group docker "$user" && getent group docker >/dev/null; then
    step "adding $user to the group docker, which gives permission to use the Docker Engine (equivalent to root)" \
      usermod -aG docker "$user"
  fi
  ensure_mmdebstrap
}

# install_packages PACKAGE…: removes no installed package.
install_packages() {
  have apt-get || fail "set-up installs Debian packages only; install the equivalents of these yourself: $*"
  step "installing the packages $*$(is_root || echo ' with sudo')" apt_install "$@"
}

# apt_install PACKAGE…: as root.
apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q) deadline=$((SECONDS + 300)) messages status
  is_root || apt=(sudo -n "--preserve-env=$proxies" "${apt[@]}")
  messages=$(mktemp)
  until "${apt[@]}" update 2>&1 | tee "$messages"; do
    status=$?
    # apt waits for its other locks by itself. At the first boot of a cloud image, for example, another apt runs.
    if ((SECONDS < deadline)) && grep -q 'Could not get lock' "$messages"; then
      sleep 5
      continue
    fi
    # A package source that fails need not be the one that has the packages.
    echo "apt-get update failed with exit code $status: installing from the package lists there are"
    break
  done
  rm -f "$messages"
  "${apt[@]}" -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install --no-install-recommends --no-remove "$@"
}

readonly proxies=http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY

# as_root COMMAND…: prints the command line with which a person runs it as root.
as_root() {
  local name preserved='' command
  command=$(printf '%q ' "$@")
  command=${command% }
  if have sudo; then
    for name in ${proxies//,/ }; do
      [[ -z ${!name:-} ]] || preserved+=,$name
    done
    echo "sudo ${preserved:+--preserve-env=${preserved#,} }$command"
  else
    echo "su -c ${command@Q}"
  fi
}

join() {
  local IFS=';' text
  text=$*
  echo "${text//;/; }"
}
