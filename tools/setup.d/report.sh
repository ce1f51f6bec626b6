# What setup.sh says, and how it runs the steps that take a while.
# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # parts of setup.sh share its variables

log=/dev/null
running=''     # the process group of the step that runs
step_status=0  # of the last step

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# open_log FILE: one set-up at a time per FILE, which holds the output of this one's steps.
open_log() {
  log=$1
  mkdir -p "$(dirname "$log")"
  exec 9>>"$log"
  if ! flock -n 9; then
    say 'waiting for another set-up to end'
    flock 9
  fi
  : >"$log"
  trap 'stop_step' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

stop_step() { [[ -z $running ]] || kill -TERM -- "-$running" 2>/dev/null || true; }

# try_step TITLE COMMAND…: runs it with its output in the log and a sign of life in ours; sets step_status. It returns
# none, for a status that is tested takes away `set -e` inside all that is called.
try_step() {
  local title=$1 started=$SECONDS shown=0 took line
  shift
  say "$title"
  printf '== %s\n' "$title" >>"$log"
  set -m  # a process group of its own, to be stopped as one
  (set +m && "$@") >>"$log" 2>&1 </dev/null 9>&- &
  running=$!
  set +m
  while kill -0 "$running" 2>/dev/null; do
    sleep 0.5
    took=$((SECONDS - started))
    if [[ -t 1 ]]; then
      line=$(tail -c 300 "$log" | tail -n 1 | tr -cd '[:print:]')
      printf '\r\033[K  %4d s  %.*s' "$took" "$((${COLUMNS:-80} - 12))" "$line"
    elif ((took - shown >= 30)); then
      shown=$took
      printf '  %4d s  %.100s\n' "$took" "$(tail -n 1 "$log")"
    fi
  done
  step_status=0
  wait "$running" || step_status=$?
  running=''
  took=$((SECONDS - started))
  [[ ! -t 1 ]] || printf '\r\033[K'
  line='done'
  ((step_status == 0)) || line='failed'
  ((took < 10)) || printf '  %4d s  %s\n' "$took" "$line"
}

# step TITLE COMMAND…: a step without which nothing can go on.
step() {
  try_step "$@"
  if ((step_status)); then
    printf '%s\n' "--- the end of $log:" >&2
    tail -n 20 "$log" >&2
    fail "this step failed: $1"
  fi
}

have() { command -v "$1" >/dev/null; }

# at_least VERSION MINIMUM
at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

# reachable URL: whether it answers, soon.
reachable() { have curl && curl -fsSL -o /dev/null --connect-timeout 4 --max-time 8 "$1" 2>/dev/null; }
