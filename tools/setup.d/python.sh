# The checkout's virtual environment .venv: created from requirements.txt, for tests also requirements-test.txt.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

readonly venv_stamp=$venv/.lolstack
system_python=/usr/bin/python3  # of Debian and Ubuntu
python_version=''
venv_contents=()

# find_python: prints the path of the first interpreter between minimum and maximum that can create a virtual
# environment, if need be with a Debian package.
find_python() {
  local name minor names=(python3)
  for ((minor = ${PYTHON_MAXIMUM#*.}; minor >= ${PYTHON_MINIMUM#*.}; minor--)); do
    names+=("python3.$minor")
  done
  # Shims on PATH, such as pyenv's or asdf's, hide the system's. Those of versions that are not selected fail.
  names+=("$system_python")
  for name in "${names[@]}"; do
    if have "$name" && version_fits "$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" \
      && { has_ensurepip "$name" || [[ $(readlink -f "$(command -v "$name")") == /usr/bin/* ]]; }; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# version_fits VERSION: whether it is a version of Python between minimum and maximum.
version_fits() { [[ $1 == 3.* ]] && at_least "$1" "$PYTHON_MINIMUM" && at_least "$PYTHON_MAXIMUM.999" "$1"; }

# has_ensurepip INTERPRETER: whether it can create virtual environments. Debian packages this module on its own.
has_ensurepip() { "$1" -c 'import ensurepip' 2>/dev/null; }

# require_python: fails if the environment must be created, and no interpreter fits. Not in the part of root for a user,
# who may have an interpreter that root's PATH lacks.
require_python() {
  [[ $part == system ]] || venv_is_current || find_python >/dev/null || fail_python
}

fail_python() {
  fail "Python $PYTHON_MINIMUM to $PYTHON_MAXIMUM with its module ensurepip is needed; python3 is" \
    "$(python3 -V 2>&1): use Debian 12 or newer, or install such a Python as well"
}

# inspect_venv: sets python_version, and venv_contents to the stamp lines of an up-to-date environment: first the
# program's packages, then the tests'. Returns non-zero if the environment's interpreter does not run, or if it was
# created at another path: its scripts name the interpreter by that, and do not run in a moved or copied checkout.
inspect_venv() {
  [[ -x $venv/bin/python ]] || return 1
  grep -qsF -e "$venv" -e "$(readlink -f "$venv")" "$venv/bin/activate" || return 1
  python_version=$("$venv/bin/python" -c 'import platform; print(platform.python_version())' 2>/dev/null) || return 1
  venv_contents=(
    "Python ${python_version%.*}, requirements.txt $(sha256sum <"$root/requirements.txt")"
    "tests $(sha256sum <"$root/requirements-test.txt")"
  )
}

venv_has() { [[ -e $venv_stamp ]] && grep -qxF -- "$1" "$venv_stamp"; }

venv_is_current() { inspect_venv && venv_has "${venv_contents[0]}"; }

# ensure_venv: creates or updates the environment; sets python_version.
ensure_venv() {
  venv_is_current || update_venv
  if needs_test_packages && ! venv_has "${venv_contents[1]}"; then
    step "installing requirements-test.txt into .venv" install_requirements requirements-test.txt
    echo "${venv_contents[1]}" >>"$venv_stamp"
  fi
  # Newer than requirements.txt, which `make` compares. Another user's environment may be in use, too.
  touch "$venv_stamp" 2>/dev/null || true
}

update_venv() {
  local interpreter
  interpreter=$(find_python) || fail_python
  # Recreate an environment that set-up created, so that no outdated package remains; only add packages to a user's own.
  if [[ -e $venv_stamp ]] || ! inspect_venv || ! version_fits "$python_version"; then
    step "creating the virtual environment .venv with $("$interpreter" -V)" create_venv "$interpreter"
  fi
  step 'installing requirements.txt into .venv' install_requirements requirements.txt
  inspect_venv
  echo "${venv_contents[0]}" >"$venv_stamp"
}

create_venv() {
  rm -rf "$venv"
  "$1" -m venv "$venv"
}

# install_requirements FILE
install_requirements() {
  local bundle=/etc/ssl/certs/ca-certificates.crt pip=("$venv/bin/python" -m pip) names
  # An environment whose creation was interrupted has no pip; neither has one that uv created.
  "${pip[@]}" --version || "$venv/bin/python" -m ensurepip
  # pip's own certificate authorities lack those of a company's network; the machine's bundle has them.
  if [[ -z ${PIP_CERT:-} && -e $bundle ]] && ! "${pip[@]}" config get global.cert; then
    export PIP_CERT=$bundle
  fi
  "${pip[@]}" install --disable-pip-version-check --progress-bar off --no-compile -r "$root/$1"
  # pip would compile one file after the other. As with pip, a file that is no Python, such as a template, is no error.
  "$venv/bin/python" -m compileall -qq -j 0 "$venv/lib" || true
  # Options in pip.conf can make it install elsewhere (target, prefix, root). Lines with a condition are left out.
  names=$(sed -n 's/^\([^ ;]*\)==[^ ;]* \\$/\1/p' "$root/$1")
  # shellcheck disable=SC2086  # words
  "$venv/bin/python" - $names <<'END'
import sys
from importlib import metadata

for name in sys.argv[1:]:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        sys.exit(f"pip has installed {name} elsewhere: remove target, prefix and root from pip's configuration "
                 "(pip config list), or start again with PIP_CONFIG_FILE=/dev/null")
END
}
