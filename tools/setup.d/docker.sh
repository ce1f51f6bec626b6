# The Docker Engine: found, installed where there is none, started where it does not run.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

readonly dockerd_log=/var/log/lolstack-dockerd.log
readonly docker_apt_source=/etc/apt/sources.list.d/docker.sources docker_apt_key=/etc/apt/keyrings/docker.asc
docker_state=''    # answers, denied, stopped, absent
docker_version=''  # where it answers
docker_error=''    # where it does not, in the client's words

# find_docker: sets the three; an engine that is named but elsewhere, or too old, is an error.
find_docker() {
  local output
  output=$(mktemp)
  if ! have docker; then
    # An engine without its client is what Debian 13's package is: installing brings the client.
    docker_state=absent docker_error='there is no docker command'
  elif docker_version=$(timeout 20 docker version --format '{{.Server.Version}}' 2>"$output"); then
    docker_state=answers
  else
    docker_error=$(tail -n 1 "$output")
    if [[ $docker_error == *'permission denied'* ]]; then
      docker_state=denied
    elif [[ -n ${DOCKER_HOST:-} || $(docker context show 2>/dev/null || echo default) != default ]]; then
      rm -f "$output"
      fail "the Docker Engine that DOCKER_HOST or the docker context names does not answer: $docker_error"
    elif have dockerd; then
      docker_state=stopped
    else
      docker_state=absent
    fi
  fi
  rm -f "$output"
  [[ $docker_state != answers ]] || at_least "$docker_version" "$DOCKER_MINIMUM" \
    || fail "the Docker Engine is $docker_version; $DOCKER_MINIMUM or newer is needed: upgrade it"
}

install_docker() {
  local id packages=(docker.io iptables)
  # shellcheck disable=SC1091
  id=$(. /etc/os-release && echo "${ID:-}")
  # The vendor's packages conflict with parts of Debian's: where some are in use, stay with Debian's. Nor is a source
  # touched that somebody set up.
  if [[ $id == debian || $id == ubuntu ]] && ! have containerd && ! have runc && [[ ! -e $docker_apt_source ]] \
    && reachable "https://download.docker.com/linux/$id/gpg"; then
    try_step "installing the Docker Engine from Docker's repository" install_docker_ce "$id"
    ((step_status)) || return 0
    rm -f "$docker_apt_source" "$docker_apt_key"
    say "that failed (see $log): going on with Debian's packages"
  fi
  # Where AppArmor is on, the engine cannot start a container without its tools.
  [[ ! -e /sys/kernel/security/apparmor ]] || packages+=(apparmor)
  install_packages "${packages[@]}"
  have docker || install_packages docker-cli
}

# install_docker_ce ID: apt checks the packages against the vendor's key.
install_docker_ce() {
  local suite
  # shellcheck disable=SC1091
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  install -d -m 0755 "$(dirname "$docker_apt_key")"
  curl -fsSL -o "$docker_apt_key" "https://download.docker.com/linux/$1/gpg"
  chmod 0644 "$docker_apt_key"
  printf '%s\n' 'Types: deb' "URIs: https://download.docker.com/linux/$1" "Suites: $suite" 'Components: stable' \
    "Signed-By: $docker_apt_key" >"$docker_apt_source"
  apt_install docker-ce docker-ce-cli containerd.io docker-buildx-plugin iptables
}

# start_docker: waits until it answers.
start_docker() {
  local pid='' deadline=$((SECONDS + 60))
  if [[ -d /run/systemd/system ]]; then
    step 'starting the Docker Engine' systemctl start docker
  else
    # Nothing but the next set-up starts it again after the machine has been down.
    say "starting the Docker Engine, without an init system; its log is $dockerd_log"
    setsid dockerd >>"$dockerd_log" 2>&1 </dev/null 9>&- &
    pid=$!
  fi
  until find_docker && [[ $docker_state == answers ]]; do
    if ((SECONDS > deadline)) || { [[ -n $pid ]] && ! kill -0 "$pid" 2>/dev/null; }; then
      if [[ -n $pid ]]; then tail -n 10 "$dockerd_log"; else journalctl -u docker -n 10 --no-pager; fi >&2
      fail "the Docker Engine was started and does not answer; above are its last words"
    fi
    sleep 1
  done
}

# needs_mmdebstrap: whether base images have to be built here. The engine is asked, for it is the one that would pull;
# of a remote engine nothing is known, and nothing said.
needs_mmdebstrap() {
  local socket status
  ! have mmdebstrap && have curl || return 1
  socket=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || return 1
  [[ $socket == unix://* ]] || return 1
  status=$(curl -s -o /dev/null --max-time 8 -w '%{http_code}' --unix-socket "${socket#unix://}" \
    http://localhost/distribution/debian:12-slim/json) || true
  [[ $status != 200 ]]
}
