#!/usr/bin/env bash
# Docker Engine 28 or newer with BuildKit and the containerd image store, in place of the machine's own engine, to run
# the tests on the engine that a new installation has. It is from Debian forky, in a root file system of its
# own: no installed package changes.
#
#   systemctl stop docker docker.socket      # the machine's own engine: both use the same socket and firewall chains
#   tests/docker-engine.sh start             # as root; the first time downloads and unpacks 500 MB
#   make test
#   tests/docker-engine.sh stop              # then: systemctl start docker
#   tests/docker-engine.sh remove            # deletes the root file system, all images and all data of this engine
#
# Without systemd, end the machine's dockerd by its process id, and start it again afterwards.
set -euo pipefail

readonly suite=forky packages=ca-certificates,containerd,docker.io,docker-cli,iptables,kmod,procps,runc
readonly root=/srv/lolstack-docker data=/var/lib/lolstack-docker
readonly socket=/run/docker.sock pid_file=/run/lolstack-docker.pid log=/var/log/lolstack-docker.log

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

answers() { docker --host "unix://$socket" version --format '{{.Server.Version}}' 2>/dev/null; }

# mirror: prints the Debian mirror of this machine's own package sources.
mirror() {
  # shellcheck disable=SC2016  # apt expands it
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1
}

make_root() {
  local from
  from=$(mirror)
  [[ -n $from ]] || fail 'no Debian mirror in the package sources; run apt-get update'
  command -v mmdebstrap >/dev/null || fail 'mmdebstrap is missing: apt-get install mmdebstrap'
  rm -rf "$root.partial"
  # A mirror may be behind: apt still verifies its signatures, but not its date.
  mmdebstrap --mode=root --variant=minbase --include="$packages" --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    "$suite" "$root.partial" "$from"
  # The certificate authorities of a network whose proxy re-signs TLS.
  cp /usr/local/share/ca-certificates/*.crt "$root.partial/usr/local/share/ca-certificates/" 2>/dev/null || true
  chroot "$root.partial" update-ca-certificates
  mkdir -p "$root.partial/etc/docker"
  echo '{"features": {"containerd-snapshotter": true}}' >"$root.partial/etc/docker/daemon.json"
  mv "$root.partial" "$root"
}

# enter_root: replaces this process by the engine. Runs in a mount namespace of its own. A chroot is not enough: runc
# needs a root that is a mount point, and containerd a data folder that is one.
enter_root() {
  local folder
  mkdir -p "$data" "$root/var/lib/docker" "$root/old"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  mount --make-rprivate /
  mount --bind "$root" "$root"
  for folder in proc sys dev run; do mount --rbind "/$folder" "$root/$folder"; done
  mount --bind "$data" "$root/var/lib/docker"
  cd "$root"
  pivot_root . old
  cd /
  umount -l /old
  exec dockerd --host "unix://$socket" --pidfile "$pid_file" --exec-root /run/lolstack-docker
}

start() {
  local version pid tries
  version=$(answers) && fail "an engine answers at $socket already, version $version: stop it first"
  [[ -d $root ]] || make_root
  rm -f "$pid_file"
  setsid unshare --mount "$0" enter >"$log" 2>&1 </dev/null &
  pid=$!
  for ((tries = 60; tries > 0; tries--)); do
    if version=$(answers); then
      echo "Docker Engine $version at $socket; its log: $log"
      return
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 1
  done
  tail -n 15 "$log" >&2
  fail 'the engine does not answer; the end of its log is above'
}

stop() {
  local pid tries
  [[ -e $pid_file ]] || fail 'the engine is not running'
  pid=$(<"$pid_file")
  kill "$pid"
  for ((tries = 60; tries > 0; tries--)); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 1
  done
  fail "process $pid does not end"
}

[[ $EUID == 0 ]] || fail 'needs root'
case ${1:-} in
  start) start ;;
  stop) stop ;;
  enter) enter_root ;;
  remove)
    [[ ! -e $pid_file ]] || fail 'stop the engine first'
    rm -rf "$root" "$data"
    ;;
  *) fail 'usage: start | stop | remove' ;;
esac
