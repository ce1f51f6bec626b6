# Steps with progress: messages, the log of a step's output, errors.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

log=/dev/null
log_is_named=no
running=''     # the process group of the current step
step_status=0  # the exit code of the last step

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# open_log FILE: empties FILE for the output of the steps. Waits for another set-up that uses the same FILE. It is open to
# its user only, also one of an earlier version: whoever may read it could lock it for ever.
open_log() {
  log=$1
  mkdir -p "$(dirname "$log")"
  (umask 077 && touch "$log")
  chmod 0600 "$log"
  exec 9>>"$log"
  if ! flock -n 9; then
    say "waiting for another set-up to finish, which has locked $log"
    flock 9
  fi
  : >"$log"
  trap 'stop_step' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

stop_step() {
  [[ -n $running ]] || return 0
  [[ -t 1 ]] || echo interrupted
  kill -TERM -- "-$running" 2>/dev/null || true
}

# try_step TITLE COMMAND…: runs COMMAND with its output in the log; sets step_status to its exit code. On a terminal the
# last line of output is shown as progress; otherwise the step is one line, with a dot for each 30 seconds.
# It does not return the exit code: testing it would disable `set -e` in everything that COMMAND calls.
try_step() {
  local title=$1 started=$SECONDS dots=0 took line
  shift
  if [[ $log_is_named == no ]]; then
    log_is_named=yes
    say "complete output: $log"
  fi
  if [[ -t 1 ]]; then say "$title"; else printf 'setup: %s ' "$title"; fi
  printf '== %s\n' "$title" >>"$log"
  set -m  # a process group of its own, which can be stopped as a whole
  (set +m && "$@") >>"$log" 2>&1 </dev/null 9>&- &
  running=$!
  set +m
  while kill -0 "$running" 2>/dev/null; do
    sleep 0.5
    took=$((SECONDS - started))
    if [[ -t 1 ]]; then
      line=$(tail -c 300 "$log" | tail -n 1 | tr -cd '[:print:]')
      printf '\r\033[K  %4d s  %.*s' "$took" "$((${COLUMNS:-80} - 12))" "$line"
    elif ((took / 30 > dots)); then
      dots=$((dots + 1))
      printf '.'
    fi
  done
  step_status=0
  wait "$running" || step_status=$?
  running=''
  took=$((SECONDS - started))
  line='done'
  ((step_status == 0)) || line='failed'
  if [[ ! -t 1 ]]; then
    ((dots == 0)) || printf ' '
    printf '%s (%d s)\n' "$line" "$took"
  else
    printf '\r\033[K'
    ((took < 10)) || printf '  %4d s  %s\n' "$took" "$line"
  fi
}

# step TITLE COMMAND…: as try_step; a failure ends the set-up with the end of the log.
step() {
  try_step "$@"
  if ((step_status)); then
    printf '%s\n' "--- the end of $log:" >&2
    tail -n 20 "$log" >&2
    fail "this step failed: $1"
  fi
}

have() { command -v "$1" >/dev/null; }

# is_program FILE: whether it can be run. A power failure can leave an empty file.
is_program() { [[ -x $1 && -s $1 ]]; }

# at_least VERSION MINIMUM
at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

# reachable URL: whether the URL can be fetched within 8 seconds.
reachable() { have curl && curl -fsSL -o /dev/null --connect-timeout 4 --max-time 8 "$1" 2>/dev/null; }

# download ARGUMENTS…: runs curl, and tries again, at most three times, if the server stalls for a minute.
download() { curl -fsSL --retry 3 --connect-timeout 10 --speed-limit 1000 --speed-time 60 "$@"; }
