#!/usr/bin/env bash
# Makes the base image where no container registry is reachable: a minimal Debian bookworm, equivalent to debian:12-slim.
#
# Usage: build.sh TAG      Needs mmdebstrap and the right to call Docker. As a normal user also uidmap (unshare mode).
# The suite's update and security archives are included (mmdebstrap's default for bookworm). Times in the root file
# system are fixed, so that the same state of the archive gives the same bytes. DEBIAN_MIRROR is the URL of a mirror in
# place of http://deb.debian.org; all images that are built on this one have it in their package sources.
set -euo pipefail

if [[ $# -ne 1 ]]; then
    echo "usage: ${0##*/} TAG, for instance lolstack.invalid/base:1" >&2
    exit 2
fi
tag=$1

for tool in mmdebstrap docker; do
    command -v "$tool" >/dev/null || { echo "${0##*/}: $tool is missing; install the package that brings it" >&2; exit 1; }
done

# Whether the folder can be entered as another user id, as mmdebstrap works without root (unshare mode).
others_can_enter() {
    local folder
    folder=$(realpath "$1") || return
    while [[ $(stat -c %A "$folder") == *[xt] ]]; do
        [[ $folder != / ]] || return 0
        folder=$(dirname "$folder")
    done
    return 1
}

# mmdebstrap runs the packages' scripts in this folder. /tmp can be mounted noexec, or be in memory and small.
for folder in "${TMPDIR:-/var/tmp}" /var/tmp /tmp; do
    export TMPDIR=$folder
    if [[ $(id -u) == 0 ]] || others_can_enter "$folder"; then break; fi
done

# A file and not a pipe: a bootstrap that fails half-way must not leave a half image under the tag.
rootfs=$(mktemp --suffix=.tar)
trap 'rm -f "$rootfs"' EXIT

# What the slim images leave out; the licences (copyright files) stay. dpkg keeps to it later, too.
slim=(
    --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-include=/usr/share/doc/*/copyright'
    --dpkgopt='path-exclude=/usr/share/groff/*'
    --dpkgopt='path-exclude=/usr/share/info/*'
    --dpkgopt='path-exclude=/usr/share/lintian/*'
    --dpkgopt='path-exclude=/usr/share/linda/*'
    --dpkgopt='path-exclude=/usr/share/locale/*'
    --dpkgopt='path-exclude=/usr/share/man/*'
)

sources=()
if [[ -n ${DEBIAN_MIRROR:-} ]]; then
    mirror=${DEBIAN_MIRROR%/}
    sources=("deb $mirror/debian bookworm main" "deb $mirror/debian bookworm-updates main"
        "deb $mirror/debian-security bookworm-security main")
fi

# apt's downloads and caches would stay in the layer of every image that installs something. (Not for the bootstrap
# itself, which takes its packages out of that cache.)
# shellcheck disable=SC2016  # mmdebstrap's shell expands it
keep_nothing='printf "%s\n" "$KEEP_NOTHING" >"$1/etc/apt/apt.conf.d/90keep-nothing"; rm -f "$1"/var/cache/apt/*.bin'
export KEEP_NOTHING='APT::Keep-Downloaded-Packages "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";'

# Without root: mmdebstrap names what is missing for the mode that is asked for. By itself it only reports that it finds
# no mode, or uses fakechroot.
mode=()
[[ $(id -u) == 0 ]] || command -v fakechroot >/dev/null || mode=(--mode=unshare)

echo "base: bootstrapping Debian bookworm (half a minute to two) ..."
# The hook starts with a merged /usr; without it a package that merges it, with the whole of Perl, would stay behind.
SOURCE_DATE_EPOCH=1767225600 mmdebstrap "${mode[@]}" --variant=minbase "${slim[@]}" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --customize-hook="$keep_nothing" bookworm "$rootfs" \
    "${sources[@]}" \
    || {
        status=$?
        [[ $(id -u) == 0 ]] || echo "${0##*/}: without root, mmdebstrap needs subordinate ids and user namespaces." \
            "If they are missing: 'echo $(id -un):200000:65536 | sudo tee -a /etc/subuid /etc/subgid', and" \
            "'sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000'" >&2
        exit "$status"
    }

echo "base: importing $(du -h "$rootfs" | cut -f1) as $tag ..."
# Docker's snap cannot read a file outside of the home folders (kind#2535), nor one that it inherits: AppArmor checks
# the path of either. A pipe has none.
# shellcheck disable=SC2002
cat "$rootfs" \
    | env -u DOCKER_DEFAULT_PLATFORM docker import --change 'CMD ["bash"]' --change 'ENV LANG=C.UTF-8' - "$tag" >/dev/null
echo "base: $tag is Debian $(tar -xOf "$rootfs" ./etc/debian_version)"
