# The Docker Engine: find it, install it if there is none, start it if it is stopped.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

readonly dockerd_log=/var/log/lolstack-dockerd.log
readonly docker_apt_source=/etc/apt/sources.list.d/docker.sources docker_apt_key=/etc/apt/keyrings/docker.asc
readonly docker_key_fingerprint=9DC858229FC7DD38854AE2D88D81803C0EBFCD88
docker_state=''    # available, denied, stopped, absent, failing (it responds with an error)
docker_version=''  # if available
docker_error=''    # otherwise, the client's message

# find_docker: sets the three variables. Fails if the engine is too old or Podman's, if the engine that DOCKER_HOST or the
# Docker context selects does not respond, or if the command is not of an engine that set-up could install or start.
find_docker() {
  local output status
  output=$(mktemp)
  if ! have docker; then
    # Debian 13 packages the engine without its client; installing adds the client.
    docker_state=absent docker_error='command not found: docker'
    if ! have dockerd && running_engine >"$output"; then
      docker_error="there is a Docker Engine at $(<"$output"), but its client, the command docker, is not on PATH"
      rm -f "$output"
      fail "$docker_error: add its folder to PATH, or install it, then start again"
    fi
  elif [[ $(timeout 20 docker --version 2>/dev/null) == *[Pp]odman* ]]; then
    rm -f "$output"
    fail "the command docker is Podman's ($(command -v docker)), with which the stack does not run: remove it" \
      "(the package podman-docker), then start again, and set-up installs the Docker Engine"
  elif docker_version=$(timeout 20 docker version --format '{{.Server.Version}}' 2>"$output"); then
    docker_state=available
  else
    status=$?
    docker_error=$(grep . "$output" | tail -n 1) || docker_error="exit code $status"
    ((status != 124)) || docker_error='no answer in 20 seconds'
    if [[ $docker_error == *'permission denied'* ]]; then
      docker_state=denied
    elif [[ -n ${DOCKER_HOST:-} || $(docker context show 2>/dev/null || echo default) != default ]]; then
      rm -f "$output"
      fail "the Docker Engine that DOCKER_HOST or the Docker context selects does not respond: $docker_error"
    elif docker_is_snap; then
      rm -f "$output"
      fail "Docker's snap is installed, but does not run: $(as_root snap start docker), then start again"
    elif [[ $docker_error == *'Error response from daemon'* ]]; then
      docker_state=failing
    elif have dockerd; then
      docker_state=stopped
    elif ((status == 124)); then
      docker_state=failing
    else
      docker_state=absent
    fi
  fi
  rm -f "$output"
  [[ $docker_state != available ]] || refuse_podman
  [[ $docker_state != available ]] || at_least "$docker_version" "$DOCKER_MINIMUM" \
    || fail "the Docker Engine has version $docker_version; $DOCKER_MINIMUM or newer is needed: upgrade it"
}

# refuse_podman: fails if the engine is Podman's, whose version would be taken for an old Docker's.
refuse_podman() {
  local components
  components=$(timeout 20 docker version --format '{{range .Server.Components}}{{.Name}} {{end}}' 2>/dev/null) || true
  [[ $components != *Podman* ]] || fail "the command docker uses Podman's engine, with which the stack does not run:" \
    "unset DOCKER_HOST, select another Docker context, or remove the package podman-docker, then start again"
}

# running_engine: prints the address of the engine that DOCKER_HOST selects, or that answers at one of the usual sockets:
# the machine's, a rootless engine's, Docker Desktop's. Non-zero if there is none.
running_engine() {
  local socket
  if [[ -n ${DOCKER_HOST:-} ]]; then
    echo "$DOCKER_HOST"
    return
  fi
  for socket in /run/docker.sock "/run/user/$EUID/docker.sock" "$home/.docker/desktop/docker.sock"; do
    if curl -fsS -o /dev/null --max-time 20 --unix-socket "$socket" http://docker/_ping 2>/dev/null; then
      echo "$socket"
      return
    fi
  done
  return 1
}

# fail_docker: fails because the engine responds with an error, or does not respond after its start.
fail_docker() { fail "the Docker Engine does not work: $docker_error"; }

# docker_is_snap: whether the command belongs to a snap, which has an engine of its own and no command dockerd.
docker_is_snap() { [[ $(command -v docker) == */snap/* ]]; }

# docker_socket: prints the path of the engine's socket.
docker_socket() {
  local address
  address=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || address=''
  [[ $address == unix://* ]] || address=unix:///var/run/docker.sock
  echo "${address#unix://}"
}

# docker_socket_group: prints the group of the engine's socket; docker, as Docker's packages set it up, if it is unknown.
docker_socket_group() { stat -Lc %G "$(docker_socket)" 2>/dev/null || echo docker; }

install_docker() {
  local id packages=(docker.io iptables)
  # shellcheck disable=SC1091
  id=$(. /etc/os-release && echo "${ID:-}")
  if resumes_docker_ce; then
    try_step "completing the installation of the Docker Engine from Docker's repository" install_docker_ce_packages
    ((step_status)) || return 0
    say "that failed (see $log): using Debian's packages instead"
  fi
  # Docker's packages conflict with some of Debian's: if those are in use, stay with Debian's. Never change an existing
  # package source.
  if [[ $id == debian || $id == ubuntu ]] && ! have containerd && ! have runc && [[ ! -e $docker_apt_source ]] \
    && reachable "https://download.docker.com/linux/$id/gpg"; then
    try_step "installing the Docker Engine from Docker's repository" install_docker_ce "$id"
    ((step_status)) || return 0
    rm -f "$docker_apt_source" "$docker_apt_key"
    say "that failed (see $log): using Debian's packages instead"
  fi
  # With AppArmor enabled, the engine cannot start a container without AppArmor's tools.
  [[ ! -e /sys/kernel/security/apparmor ]] || packages+=(apparmor)
  install_packages "${packages[@]}"
  have docker || install_packages docker-cli
}

# install_docker_ce ID: from Docker's repository; apt verifies the packages with Docker's key, whose fingerprint is known.
install_docker_ce() {
  local suite keys
  umask 022
  have gpg || apt_install gpg
  # shellcheck disable=SC1091
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  install -d -m 0755 "$(dirname "$docker_apt_key")"
  download -o "$docker_apt_key" "https://download.docker.com/linux/$1/gpg"
  keys=$(key_fingerprints "$docker_apt_key")
  if [[ $keys != "$docker_key_fingerprint" ]]; then
    echo "download.docker.com has other keys than Docker's: $keys"
    return 1
  fi
  printf '%s\n' 'Types: deb' "URIs: https://download.docker.com/linux/$1" "Suites: $suite" 'Components: stable' \
    "Signed-By: $docker_apt_key" >"$docker_apt_source"
  install_docker_ce_packages
}

# key_fingerprints FILE: prints the fingerprint of each primary key. apt would accept each key of the file.
key_fingerprints() {
  local folder
  folder=$(mktemp -d)
  gpg --homedir "$folder" --batch --with-colons --show-keys "$1" \
    | awk -F : '$1 == "pub" { primary = 1 } $1 == "fpr" && primary { print $10; primary = 0 }'
  rm -rf "$folder"
}

# resumes_docker_ce: whether an installation from Docker's repository was interrupted: its package source is there, as
# set-up or Docker's own instructions write it. Part of the packages can be, too.
resumes_docker_ce() { [[ -s $docker_apt_key ]] && grep -qsxF "Signed-By: $docker_apt_key" "$docker_apt_source"; }

# docker_ce_is_incomplete: whether one of its packages is unpacked, but not configured.
docker_ce_is_incomplete() {
  [[ $(dpkg-query -W -f '${db:Status-Status} ' docker-ce docker-ce-cli containerd.io 2>/dev/null) =~ half|unpacked ]]
}

install_docker_ce_packages() {
  # After an interruption apt refuses to install anything before it. If another program has the lock, apt waits for it.
  DEBIAN_FRONTEND=noninteractive dpkg --configure -a || true
  apt_install docker-ce docker-ce-cli containerd.io docker-buildx-plugin iptables
}

# start_docker: starts the engine and waits until it responds, with a timeout of 60 seconds.
start_docker() {
  local pid='' former deadline=$((SECONDS + 60))
  if [[ -d /run/systemd/system ]]; then
    step 'starting the Docker Engine' systemctl start docker
  else
    # After a reboot only the next set-up starts it again.
    say "starting the Docker Engine without an init system; its log: $dockerd_log"
    # Left by an engine that was killed. Another one does not start if a process of another program has that number.
    former=$(cat /run/docker.pid 2>/dev/null || true)
    [[ $(readlink "/proc/$former/exe") == */dockerd* ]] || rm -f /run/docker.pid /run/docker/containerd/containerd.pid
    run_dockerd
  fi
  until find_docker && [[ $docker_state == available ]]; do
    if ((SECONDS > deadline)) || { [[ -n $pid ]] && ! kill -0 "$pid" 2>/dev/null; }; then
      if [[ -n $pid ]]; then tail -n 10 "$dockerd_log"; else journalctl -u docker -n 10 --no-pager; fi >&2
      fail "the Docker Engine was started but does not respond; its last log lines are above"
    fi
    sleep 1
  done
}

# run_dockerd: starts the engine in the background; sets pid. Nothing rotates its log, so a start keeps one former file.
run_dockerd() {
  [[ ! -e $dockerd_log ]] || mv -f "$dockerd_log" "$dockerd_log.1"
  setsid dockerd >"$dockerd_log" 2>&1 </dev/null 9>&- &
  pid=$!
}

# docker_is_local: whether the engine listens on a socket of this machine.
docker_is_local() { [[ $(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) == unix://* ]]; }
