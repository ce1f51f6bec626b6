# Pulumi: the CLI, its Python language host, the host of dynamic resources, and the Docker provider plugin.
#
# Licenses of the programs that are built here: Apache License 2.0 (Pulumi, its bridge), MPL 2.0 (upstream's Docker
# provider).
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

readonly plugins=${PULUMI_HOME:-$home/.pulumi}/plugins
readonly cli_files=(pulumi pulumi-language-python pulumi-language-python-exec pulumi-resource-pulumi-python)
readonly go_cache=$cache/go  # modules and objects of a build with a downloaded Go; removed after the build
pulumi_version=''
go=''

# ensure_pulumi: installs the CLI and the plugin; sets pulumi_version.
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
  if ! provider_is_installed "$docker_plugin"; then
    rm -rf "$(plugin_folder "$docker_plugin")"{,.partial}
    fetch_provider "$docker_plugin" || build_provider "$docker_plugin"
  fi
  # Pulumi prefers a plugin on PATH, with a warning. Earlier versions of this set-up put it there.
  rm -f "$bin/pulumi-resource-docker" "$cache/provider.stamp"
  [[ ! -e $go_cache ]] || step 'removing build files' remove_go_cache
}

# --- existing installations

# key FOLDER…: a hash of the build's inputs; a change of them triggers a rebuild.
key() {
  (cd "$root/tools/go" && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c 1-16
}

cli_is_cached() {
  local file stamp
  for file in "${cli_files[@]}"; do
    is_program "$bin/$file" || return 1
  done
  [[ -e $cache/cli.stamp ]] || return 1
  stamp=$(<"$cache/cli.stamp")
  [[ $stamp == "fetched $PULUMI_VERSION" ]] || [[ $stamp == "built $(key pulumi-cli pulumi-language-python)" ]]
}

# use_installed_cli: uses a CLI on PATH of the same minor version, if all of its parts are on PATH or beside it; sets
# pulumi_version. Links it into the cache, in which it is found again where PATH lacks its folder, as in cron's.
use_installed_cli() {
  local file beside path found paths=()
  [[ ! -L $bin/pulumi ]] || local PATH=$PATH:$bin
  have pulumi || return 1
  beside=$(dirname "$(readlink -f "$(command -v pulumi)")")
  for file in "${cli_files[@]}"; do
    path=$(command -v "$file") || path=$beside/$file
    is_program "$path" || return 1
    paths+=("$path")
  done
  found=$(PULUMI_SKIP_UPDATE_CHECK=true pulumi version 2>/dev/null) || return 1
  found=${found#v}
  [[ ${found%.*} == "${PULUMI_VERSION%.*}" ]] && at_least "$found" "$PULUMI_VERSION" || return 1
  rm -f "$cache/cli.stamp"
  for path in "${paths[@]}"; do
    [[ $path == "$bin/"* ]] || ln -sf "$path" "$bin/"
  done
  pulumi_version=$found
}

# plugin_folder VERSION: prints the folder in which Pulumi looks for the Docker provider.
plugin_folder() { echo "$plugins/resource-docker-v$1"; }

# provider_is_installed VERSION: whether it is the vendor's, or was built here from the current inputs.
provider_is_installed() {
  local folder
  folder=$(plugin_folder "$1")
  # Pulumi marks an incomplete download with the file .partial.
  is_program "$folder/pulumi-resource-docker" && [[ ! -e $folder.partial ]] || return 1
  [[ ! -e $folder/built ]] || [[ $(<"$folder/built") == "$(key pulumi-docker-provider)" ]]
}

# --- downloads from the vendor

fetch_cli() {
  local url=https://get.pulumi.com/releases/sdk machine
  case $(uname -m) in
    x86_64) machine=x64 ;;
    aarch64) machine=arm64 ;;
    *) return 1 ;;
  esac
  reachable "$url/pulumi-$PULUMI_VERSION-checksums.txt" || return 1
  try_step "downloading Pulumi $PULUMI_VERSION" \
    unpack_cli "$url" "pulumi-v$PULUMI_VERSION-linux-$machine.tar.gz"
  ((step_status)) || return 0
  say "that failed (see $log): building it instead"
  return 1
}

# unpack_cli URL TARBALL: chained with &&, because fetch_cli is called where `set -e` has no effect.
unpack_cli() {
  local folder=$cache/download sums=pulumi-$PULUMI_VERSION-checksums.txt
  rm -rf "$folder" && mkdir -p "$folder" && cd "$folder" \
    && download -O "$1/$sums" -O "$1/$2" \
    && grep -F " $2" "$sums" | sha256sum --strict --check \
    && tar -xzf "$2" \
    && (cd pulumi && mv -f "${cli_files[@]}" "$bin") \
    && rm -rf "$folder" \
    && echo "fetched $PULUMI_VERSION" >"$cache/cli.stamp"
}

fetch_provider() {
  reachable https://get.pulumi.com/ || return 1
  try_step "downloading Pulumi's Docker provider $1" env PATH="$bin:$PATH" PULUMI_SKIP_UPDATE_CHECK=true \
    pulumi plugin install resource docker "$1"
  ((step_status)) || return 0
  say "that failed (see $log): building it instead"
  return 1
}

# --- builds from Go modules

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
  # The scripts are part of the modules' sources. The executor must have the language host's version; the host of
  # dynamic resources has the CLI's.
  copy_script pulumi-language-python python/cmd/pulumi-language-python-exec
  copy_script pulumi-cli python/dist/pulumi-resource-pulumi-python
  echo "built $(key pulumi-cli pulumi-language-python)" >"$cache/cli.stamp"
}

# build_provider VERSION: into Pulumi's folder for plugins, where `pulumi plugin install` would put it.
build_provider() {
  local folder
  folder=$(plugin_folder "$1")
  ensure_go
  step "building Pulumi's Docker provider $1 from Go modules (3-5 minutes on two cores)" \
    go_build pulumi-docker-provider . pulumi-resource-docker "-X main.version=$1"
  mkdir -p "$folder"
  mv "$bin/pulumi-resource-docker" "$folder/"
  key pulumi-docker-provider >"$folder/built"
}

# run_go GO ARGUMENTS…: runs the command GO without the person's own Go settings, of the environment or of `go env -w`.
# Only where modules are downloaded from and kept stays.
run_go() {
  local command=$1 names=() values=() settings=() output i
  shift
  names=(GOPROXY GOSUMDB GOPRIVATE GONOPROXY GONOSUMDB GOINSECURE GOVCS GOAUTH GOMODCACHE GOCACHE GOTMPDIR)
  output=$(GOTOOLCHAIN=local "$command" env "${names[@]}")
  mapfile -t values <<<"$output"
  for i in "${!names[@]}"; do settings+=("${names[i]}=${values[i]:-}"); done
  env "${settings[@]}" CGO_ENABLED=0 GO111MODULE=on GOENV=off GOFLAGS='' GOWORK=off GOTOOLCHAIN=local "$command" "$@"
}

# go_in MODULE ARGUMENTS…: runs go in a module's folder.
go_in() {
  local module=$1
  shift
  (cd "$root/tools/go/$module" && run_go "$go" "$@")
}

# go_build MODULE PACKAGE FILE [LDFLAGS]: builds the package, pinned by the module's go.sum, as FILE in the cache.
go_build() {
  go_in "$1" build -v -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w ${4:-}" -o "$bin/.$3" "$2"
  mv "$bin/.$3" "$bin/$3"
}

# copy_script MODULE FILE: copies a file from Pulumi's sdk module, in the version that MODULE requires.
copy_script() {
  local sdk
  sdk=$(go_in "$1" list -mod=readonly -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)
  install -m 0755 "$sdk/$2" "$bin/"
}

# ensure_go: sets go. Debian's Go is too old for the build and too old to switch to a newer toolchain by itself. It can
# download the newer one as a Go module, whose hash is in versions.env; it need not be installed for that.
ensure_go() {
  local free
  [[ -z $go ]] || return 0
  free=$(df --output=avail -k "$cache" | tail -n 1)
  ((free > 7 * 1048576)) \
    || fail "building Pulumi temporarily needs 7 GB of disk space; $cache has $((free / 1048576)) GB free"
  if have go && at_least "$(GOTOOLCHAIN=local go env GOVERSION)" "go${GO_VERSION%.*}"; then
    go=$(command -v go)
    return
  fi
  export GOMODCACHE=$go_cache/modules GOCACHE=$go_cache/objects GOTMPDIR=$go_cache/tmp
  mkdir -p "$GOTMPDIR"
  step "downloading Go $GO_VERSION for the build" fetch_go
  go=$GOMODCACHE/$(toolchain)/bin/go
}

# toolchain: prints the Go module that contains Go itself, for this machine's architecture.
toolchain() {
  echo "golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')"
}

# toolchain_sum: prints the hash of that module; nothing for an architecture whose hash is not known.
toolchain_sum() {
  case $(toolchain) in
    *-amd64) echo "$GO_SUM_AMD64" ;;
    *-arm64) echo "$GO_SUM_ARM64" ;;
  esac
}

# fetch_go: no go.sum has the toolchain, and the person's GOSUMDB may be off, so its hash is compared here.
fetch_go() {
  local old=go package sum
  if ! have go; then
    cd "$go_cache" || return
    package=$(LC_ALL=C apt-cache depends golang-go | sed -n 's/.*Depends: \(golang-[0-9.]*-go\)$/\1/p')
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
  run_go "$old" mod download -x -json "$(toolchain)" | tee "$go_cache/toolchain.json"
  sum=$(sed -n 's/.*"Sum": "\(.*\)".*/\1/p' "$go_cache/toolchain.json")
  if [[ -z $sum || $sum != "$(toolchain_sum)" ]]; then
    echo "$(toolchain) has the hash $sum, which is not that of tools/versions.env: see GOPROXY, or install Go yourself"
    remove_go_cache  # otherwise the next set-up would find it there
    return 1
  fi
  rm -rf "$go_cache"/debian "$go_cache"/*.deb
  # A module's files are not executable; a newer go command does this itself when it downloads a toolchain.
  chmod -R u+x "$GOMODCACHE/$(toolchain)"/{bin,pkg/tool}
}

remove_go_cache() {
  chmod -R u+w "$go_cache"
  rm -rf "$go_cache"
}

# --- secrets

# ensure_private_state: makes the folder of Pulumi's state accessible to this user only; Pulumi itself makes it readable
# by everybody. A backend that the person has chosen (PULUMI_BACKEND_URL) is left alone: it may be shared.
ensure_private_state() {
  mkdir -p "$home/.pulumi"
  chmod 0700 "$home/.pulumi"
}

# ensure_passphrase: generates the passphrase file that env.sh names, unless the person has set a passphrase.
ensure_passphrase() {
  local file=${PULUMI_HOME:-$home/.pulumi}/lolstack.passphrase former=$HOME/.pulumi/lolstack.passphrase
  [[ -z ${PULUMI_CONFIG_PASSPHRASE+set} && ${PULUMI_CONFIG_PASSPHRASE_FILE:-$file} == "$file" ]] || return 0
  if [[ -e $file ]]; then
    [[ -s $file ]] || fail "the passphrase file $file is empty: restore it; if no stack was deployed yet, remove it," \
      "then set-up generates another; otherwise see 'Secrets' in docs/operations.md"
    return
  fi
  mkdir -p "$(dirname "$file")"
  if ! compgen -G "$home/.pulumi/stacks/lolstack/*.json" >/dev/null; then
    say "generating the passphrase for the stacks' secrets: $file (keep a copy: they cannot be read without it)"
    (umask 077 && head -c 32 /dev/urandom | base64 >"$file.partial")
  elif [[ -r $former && -s $former ]]; then  # earlier versions of this set-up followed HOME
    say "copying the passphrase of existing stacks from $former to $file"
    install -m 0600 "$former" "$file.partial"
  else
    fail "the passphrase $file is missing, but the secrets of existing stacks need it: restore it, or see 'Secrets'" \
      'in docs/operations.md'
  fi
  # A full disk or a power failure must leave no empty file, with which Pulumi would encrypt.
  sync "$file.partial"
  mv "$file.partial" "$file"
}
