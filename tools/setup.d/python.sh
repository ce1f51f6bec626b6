# The checkout's virtual environment, made from requirements.txt.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

readonly venv_stamp=$venv/.lolstack
python_version=''
venv_made_of=()

# find_python: prints the first interpreter that is new enough.
find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if have "$name" \
      && "$name" -c "import sys; sys.exit(sys.version_info < (${PYTHON_MINIMUM/./, }))" 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# inspect_venv: sets python_version, and venv_made_of to what the environment should say it was made of, a line for the
# program's packages and one for the tests'; fails where its interpreter does not run.
inspect_venv() {
  [[ -x $venv/bin/python ]] || return 1
  python_version=$("$venv/bin/python" -c 'import platform; print(platform.python_version())' 2>/dev/null) || return 1
  venv_made_of=(
    "Python ${python_version%.*}, requirements.txt $(sha256sum <"$root/requirements.txt")"
    "tests $(cd "$root" && cat requirements-test.txt {job,generator}/requirements.txt | sha256sum)"
  )
}

venv_has() { [[ -e $venv_stamp ]] && grep -qxF -- "$1" "$venv_stamp"; }

venv_is_current() { inspect_venv && venv_has "${venv_made_of[0]}"; }

# ensure_venv: sets python_version.
ensure_venv() {
  venv_is_current || make_venv_current
  if [[ $for_tests == yes ]] && ! venv_has "${venv_made_of[1]}"; then
    step "installing requirements-test.txt into .venv" fill_venv requirements-test.txt
    echo "${venv_made_of[1]}" >>"$venv_stamp"
  fi
}

make_venv_current() {
  local interpreter
  interpreter=$(find_python) \
    || fail "Python $PYTHON_MINIMUM or newer is needed; python3 is $(python3 -V 2>&1): use Debian 12 or newer"
  # An environment that somebody else made is filled; one of ours is made anew, so that nothing stale stays in it.
  if [[ -e $venv_stamp ]] || ! inspect_venv || ! at_least "$python_version" "$PYTHON_MINIMUM"; then
    step "making the virtual environment .venv with $("$interpreter" -V)" make_venv "$interpreter"
  fi
  step 'installing requirements.txt into .venv' fill_venv requirements.txt
  inspect_venv
  echo "${venv_made_of[0]}" >"$venv_stamp"
}

make_venv() {
  rm -rf "$venv"
  "$1" -m venv "$venv"
}

# fill_venv FILE
fill_venv() {
  local bundle=/etc/ssl/certs/ca-certificates.crt pip=("$venv/bin/python" -m pip)
  # An environment whose making was interrupted has no pip, nor has uv's.
  "${pip[@]}" --version || "$venv/bin/python" -m ensurepip
  # pip's own list of certificate authorities lacks those of the company's network; the machine's bundle has them.
  if [[ -z ${PIP_CERT:-} && -e $bundle ]] && ! "${pip[@]}" config get global.cert; then
    export PIP_CERT=$bundle
  fi
  "${pip[@]}" install --disable-pip-version-check --progress-bar off -r "$root/$1"
}
