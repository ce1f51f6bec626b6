# Pulumi: the CLI, its Python language host, the host of dynamic resources, and the Docker provider.
#
# What is built here is under the Apache License 2.0 (Pulumi, its bridge) and the MPL 2.0 (upstream's Docker provider).
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

readonly plugins=${PULUMI_HOME:-$HOME/.pulumi}/plugins
readonly cli_files=(pulumi pulumi-language-python pulumi-language-python-exec pulumi-resource-pulumi-python)
readonly go_cache=$cache/go  # modules and objects of a build with a Go that was fetched; removed after it
pulumi_version=''
go=''

# ensure_pulumi: sets pulumi_version.
ensure_pulumi() {
  local docker_plugin
  docker_plugin=$(sed -n 's/^pulumi-docker==\([0-9.]*\).*/\1/p' "$root/requirements.txt")
  [[ -n $docker_plugin ]] || fail 'requirements.txt has no line pulumi-docker==VERSION'
  mkdir -p "$bin"

  if cli_is_cached; then
    pulumi_version=$PULUMI_VERSION
  elif ! use_installed_cli; then
    fetch_cli || build_cli
    pulumi_version=$PULUMI_VERSION
  fi
  if ! provider_is_cached "$docker_plugin"; then
    fetch_provider "$docker_plugin" || build_provider "$docker_plugin"
  fi
  [[ ! -e $go_cache ]] || step 'removing what only the build needed' remove_go_cache
}

# --- what is there

# key NAME…: of a build, so that a change of what it is made of makes it again.
key() {
  (cd "$root/tools/go" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c 1-16
}

cli_is_cached() {
  local file stamp
  for file in "${cli_files[@]}"; do
    [[ -x $bin/$file ]] || return 1
  done
  [[ -e $cache/cli.stamp ]] || return 1
  stamp=$(<"$cache/cli.stamp")
  [[ $stamp == "fetched $PULUMI_VERSION" ]] || [[ $stamp == "built $(key pulumi-cli pulumi-language-python)" ]]
}

# use_installed_cli: one on PATH, with all that belongs to it on PATH or beside it.
use_installed_cli() {
  local file beside found
  have pulumi || return 1
  beside=$(dirname "$(readlink -f "$(command -v pulumi)")")
  for file in "${cli_files[@]}"; do
    have "$file" || [[ -x $beside/$file ]] || return 1
  done
  found=$(PULUMI_SKIP_UPDATE_CHECK=true pulumi version 2>/dev/null) || return 1
  at_least "${found#v}" "$PULUMI_VERSION" || return 1
  # env.sh puts the cache first on PATH: what an earlier set-up left there would be run instead.
  rm -f "$cache/cli.stamp" "${cli_files[@]/#/$bin/}"
  pulumi_version=${found#v}
}

provider_is_cached() {
  [[ -x $plugins/resource-docker-v$1/pulumi-resource-docker && ! -e $plugins/resource-docker-v$1.partial ]] && return
  [[ -x $bin/pulumi-resource-docker && -e $cache/provider.stamp ]] \
    && [[ $(<"$cache/provider.stamp") == "built $1 $(key pulumi-docker-provider)" ]]
}

# --- the vendor's way

fetch_cli() {
  local url=https://get.pulumi.com/releases/sdk machine
  case $(uname -m) in
    x86_64) machine=x64 ;;
    aarch64) machine=arm64 ;;
    *) return 1 ;;
  esac
  reachable "$url/pulumi-$PULUMI_VERSION-checksums.txt" || return 1
  try_step "fetching Pulumi $PULUMI_VERSION" \
    unpack_cli "$url" "pulumi-v$PULUMI_VERSION-linux-$machine.tar.gz"
  ((step_status)) || return 0
  say "that failed (see $log): building it instead"
  return 1
}

# unpack_cli URL TARBALL: chained, for fetch_cli's status is tested.
unpack_cli() {
  local folder=$cache/download sums=pulumi-$PULUMI_VERSION-checksums.txt
  rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" \
    && curl -fsSL --retry 3 -O "$1/$sums" -O "$1/$2" \
    && grep -F " $2" "$sums" | sha256sum --strict --check \
    && tar -xzf "$2" \
    && (cd pulumi && mv -f "${cli_files[@]}" "$bin") \
    && rm -rf "$folder" \
    && echo "fetched $PULUMI_VERSION" >"$cache/cli.stamp"
}

fetch_provider() {
  reachable https://get.pulumi.com/ || return 1
  try_step "fetching Pulumi's Docker provider $1" env PATH="$bin:$PATH" PULUMI_SKIP_UPDATE_CHECK=true \
    pulumi plugin install resource docker "$1"
  ((step_status)) || return 0
  say "that failed (see $log): building it instead"
  return 1
}

# --- from Go modules

build_cli() {
  grep -qx "require github.com/pulumi/pulumi/pkg/v3 v$PULUMI_VERSION" "$root/tools/go/pulumi-cli/go.mod" \
    || fail 'tools/versions.env and tools/go/pulumi-cli/go.mod name different versions of Pulumi'
  ensure_go
  step "building Pulumi's CLI $PULUMI_VERSION from Go modules (5-12 minutes on two cores)" \
    go_build pulumi-cli github.com/pulumi/pulumi/pkg/v3/cmd/pulumi pulumi \
    "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$PULUMI_VERSION"
  step "building Pulumi's Python language host from Go modules" \
    go_build pulumi-language-python github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python \
    pulumi-language-python
  # The scripts come with the modules' sources: the executor must be of the language host's version, the host of
  # dynamic resources is better of the CLI's.
  copy_script pulumi-language-python python/cmd/pulumi-language-python-exec
  copy_script pulumi-cli python/dist/pulumi-resource-pulumi-python
  echo "built $(key pulumi-cli pulumi-language-python)" >"$cache/cli.stamp"
}

build_provider() {
  ensure_go
  step "building Pulumi's Docker provider $1 from Go modules (3-5 minutes on two cores)" \
    go_build pulumi-docker-provider . pulumi-resource-docker "-X main.version=$1"
  echo "built $1 $(key pulumi-docker-provider)" >"$cache/provider.stamp"
}

# go_in MODULE ARGUMENTS…: go, free of what the person's own settings would change in the outcome.
go_in() {
  local module=$1
  shift
  (cd "$root/tools/go/$module" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off GOTOOLCHAIN=local "$go" "$@")
}

# go_build MODULE PACKAGE FILE [LDFLAGS]: the package, as the module's go.sum pins it, as FILE in the cache.
go_build() {
  go_in "$1" build -v -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w ${4:-}" -o "$bin/.$3" "$2"
  mv "$bin/.$3" "$bin/$3"
}

# copy_script MODULE FILE: a file of the version of Pulumi's sdk module that MODULE requires.
copy_script() {
  local sdk
  sdk=$(go_in "$1" list -mod=readonly -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)
  install -m 0755 "$sdk/$2" "$bin/"
}

# ensure_go: sets go. Debian's Go is too old to build with and to fetch a newer one by itself, but the newer one is a
# Go module, checked against the checksum database as any other; for that, Debian's need not even be installed.
ensure_go() {
  local free
  [[ -z $go ]] || return 0
  free=$(df --output=avail -k "$cache" | tail -n 1)
  ((free > 7 * 1048576)) \
    || fail "building Pulumi takes 7 GB for a while; the disk of $cache has $((free / 1048576)) GB free"
  if have go && at_least "$(GOTOOLCHAIN=local go env GOVERSION)" "go${GO_VERSION%.*}"; then
    go=$(command -v go)
    return
  fi
  export GOMODCACHE=$go_cache/modules GOCACHE=$go_cache/objects GOTMPDIR=$go_cache/tmp
  mkdir -p "$GOTMPDIR"
  step "fetching Go $GO_VERSION to build Pulumi with" fetch_go
  go=$GOMODCACHE/$(toolchain)/bin/go
}

# toolchain: the module that Go is, for this machine.
toolchain() {
  echo "golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')"
}

fetch_go() {
  local old=go package
  if ! have go; then
    cd "$go_cache" || return
    package=$(apt-cache depends golang-go | sed -n 's/.*Depends: \(golang-[0-9.]*-go\)$/\1/p')
    if [[ -z $package ]]; then
      echo "apt has no package golang-go: run 'apt-get update' as root, or install Go $GO_VERSION or Pulumi yourself"
      return 1
    fi
    apt-get download "$package"
    dpkg-deb -x "$package"_*.deb debian
    old=$(echo "$go_cache"/debian/usr/lib/go-*/bin/go)
    GOROOT=$(dirname "$(dirname "$old")")
    export GOROOT
  fi
  GOFLAGS='' GOTOOLCHAIN=local "$old" mod download -x "$(toolchain)"
  rm -rf "$go_cache"/debian "$go_cache"/*.deb
  # A module's files are not executable; a newer go command does this to a toolchain it fetches itself.
  chmod -R u+x "$GOMODCACHE/$(toolchain)"/{bin,pkg/tool}
}

remove_go_cache() {
  chmod -R u+w "$go_cache"
  rm -rf "$go_cache"
}

# --- secrets

# ensure_passphrase: the one that env.sh names, unless the person has a passphrase of their own.
ensure_passphrase() {
  local file=${PULUMI_HOME:-$HOME/.pulumi}/lolstack.passphrase
  [[ -z ${PULUMI_CONFIG_PASSPHRASE+set} && ${PULUMI_CONFIG_PASSPHRASE_FILE:-$file} == "$file" ]] || return 0
  [[ ! -e $file ]] || return 0
  if compgen -G "$HOME/.pulumi/stacks/lolstack/*.json" >/dev/null; then
    fail "the passphrase $file is gone, but there are stacks whose secrets need it: put it back, or see 'Secrets' in" \
      'docs/operations.md'
  fi
  say "making the passphrase for the stacks' secrets: $file (keep a copy: they cannot be read without it)"
  mkdir -p "$(dirname "$file")"
  (umask 077 && head -c 32 /dev/urandom | base64 >"$file")
}
