# shellcheck shell=bash
# Processes of the demo: each is known by its pid and start time, so that nothing else is ever stopped, not even
# after a pid was used again. run/NAME holds "pid start signal".

# The start time of a process in clock ticks since boot; empty when there is none. The name in parentheses may
# hold anything, so fields are counted after it.
start_time_of() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  [[ $1 == Z ]] || echo "${20}"
}

# remember_process NAME PID SIGNAL
remember_process() { printf '%s %s %s\n' "$2" "$(start_time_of "$2")" "$3" >"$DEMO/run/$1"; }

# Whether this child of ours is its own program by now, and not yet a copy of us on its way there, which ignores
# the signal that is to stop it; or is gone.
process_began() {
  local -a argv=() own=()
  { mapfile -d '' -t argv <"/proc/$1/cmdline"; } 2>/dev/null || return 0
  mapfile -d '' -t own <"/proc/$$/cmdline"
  case ${argv[0]-} in
    setsid | env) return 1 ;;
    "") [[ -z $(start_time_of "$1") ]] ;;
    *) [[ ${argv[*]} != "${own[*]}" ]] ;;
  esac
}

# start_process NAME SIGNAL COMMAND…: in a session of its own, so that Ctrl-C reaches only us, and with the signal
# dispositions of a fresh process (bash lets what runs in the background ignore SIGINT).
start_process() {
  local name=$1 signal=$2
  shift 2
  setsid env --default-signal=INT,QUIT "$@" </dev/null >"$DEMO/log/$name.log" 2>&1 9>&- &
  until process_began $!; do sleep 0.01; done
  remember_process "$name" $! "$signal"
}

process_runs() {
  local pid start signal
  read -r pid start signal <"$DEMO/run/$1" 2>/dev/null || return 1
  [[ -n $start && $(start_time_of "$pid") == "$start" ]]
}

stop_process() {
  local pid start signal tries
  [[ -f $DEMO/run/$1 ]] || return 0
  read -r pid start signal <"$DEMO/run/$1" || true
  if process_runs "$1"; then
    kill -"$signal" "$pid" 2>/dev/null || true
    for ((tries = 0; tries < 600; tries++)); do
      process_runs "$1" || break
      sleep 0.05
    done
    if process_runs "$1"; then
      say "      $1 did not stop within 30 s and was killed"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  fi
  rm -f "$DEMO/run/$1"
}

# await NAME SECONDS WHAT COMMAND…: until the command succeeds, while the process lives.
await() {
  local name=$1 tries=$(($2 * 10)) what=$3
  shift 3
  while ((tries-- > 0)); do
    # In a subshell: were a trap to run while we are redirected, it would speak into the void.
    ("$@") >/dev/null 2>&1 && say "      $what" && return
    process_runs "$name" || break
    sleep 0.1
  done
  die "waited in vain: $what" "See $DEMO/log/$name.log."
}

# Runs a command such that a signal to us is acted upon at once.
ATTENDED=
attended() {
  "$@" 9>&- &
  ATTENDED=$!
  local code=0
  wait "$ATTENDED" || code=$?
  ATTENDED=
  return "$code"
}

# Servers that a killed agent left in the demo's folder: a PostgreSQL works in its data directory.
stop_forgotten_servers() {
  local file pid
  while IFS= read -r -d '' file; do
    pid=$(head -n 1 "$file" 2>/dev/null) || continue
    [[ $pid =~ ^[0-9]+$ && $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$DEMO"/* ]] || continue
    remember_process forgotten "$pid" INT
    stop_process forgotten
  done < <(find "$DEMO" -name postmaster.pid -print0 2>/dev/null)
}

# Removes the demo's folder. What a killed program left running may write into it for some seconds more.
demo_remove_place() {
  local tries
  for ((tries = 0; tries < 150; tries++)); do
    # With its number: in a trap a bare return gives the status from before the trap.
    rm -rf "$DEMO" 2>/dev/null && return 0
    sleep 0.1
  done
  rm -rf "$DEMO" || die "$DEMO cannot be removed" "Something still writes there; look with 'fuser -v $DEMO'."
}

# Everything the demo started, in the order of who needs whom. What is not there is passed over.
demo_stop_all() {
  local pid
  [[ -n $ATTENDED ]] && kill -TERM "$ATTENDED" 2>/dev/null
  mkdir -p "$DEMO/run"
  stop_process writer
  stop_process salvor-agent
  stop_process salvord
  stop_process database
  stop_forgotten_servers
  for pid in $(jobs -p); do
    kill -TERM "$pid" 2>/dev/null || true
  done
  wait 2>/dev/null || true
}
