# shellcheck shell=bash
# The main job on real data: a PostgreSQL and its files are backed up, lost, restored and proven. Everything
# lives in $DEMO; the path is fixed, because deploy/examples/shop.yaml names it.

readonly DEMO=/var/tmp/salvor-demo
readonly DEMO_LOCK=$DEMO.lock
readonly DEMO_DEFAULT_MIB=1536
# shellcheck source=tools/dev.d/setup.sh
source "$PARTS/setup.sh"
# shellcheck source=tools/dev.d/demo_processes.sh
source "$PARTS/demo_processes.sh"
# shellcheck source=tools/dev.d/demo_application.sh
source "$PARTS/demo_application.sh"

# ---- arguments and the one place there is -------------------------------------------------------------------

demo_arguments() {
  KEEP=no MIB=$DEMO_DEFAULT_MIB PROGRAMS='' STOP=no
  while (($#)); do
    case $1 in
      --keep) KEEP=yes ;;
      --stop) STOP=yes ;;
      --size) MIB=${2:-} && shift ;;
      --programs) PROGRAMS=${2:-} && shift ;;
      *) die "demo does not know '$1'" "It takes --keep, --size MIB, --programs DIR, or --stop." 2 ;;
    esac
    shift || die "an argument is missing" "Run 'tools/dev help'." 2
  done
  [[ $MIB =~ ^[1-9][0-9]{0,5}$ ]] || die "--size wants a number of MiB, not '$MIB'" "As in --size 256." 2
  ((MIB >= 16)) || die "--size must be at least 16 MiB" "As in --size 64." 2
}

# One demo at a time: the lock is gone with this process, however it ends.
demo_lock() {
  while true; do
    { exec 9>>"$DEMO_LOCK"; } 2>/dev/null ||
      die "$DEMO_LOCK belongs to someone else" "Another user of this machine runs the demo; try later."
    flock -n 9 || die "another demo is running" "Wait for it, or stop it with Ctrl-C where it runs."
    [[ /proc/self/fd/9 -ef $DEMO_LOCK ]] && return
  done
}

demo_room() {
  local free needed
  free=$(df --output=avail -BM "$(dirname "$DEMO")" | tail -n 1 | tr -dc 0-9)
  needed=$((MIB * 7 + 2048))
  ((free >= needed)) || die "$(dirname "$DEMO") has $free MiB free, and the demo needs about $needed MiB" \
    "Make room, or use less with --size 256."
}

demo_take_place() {
  if [[ -e $DEMO || -L $DEMO ]]; then
    [[ -d $DEMO && ! -L $DEMO && -O $DEMO ]] || die "$DEMO is not ours" "Remove it, and start again."
    [[ -e $DEMO/kept ]] && die "a demo was left running with --keep" "Stop it with 'tools/dev demo --stop'."
    say "removing what an interrupted demo left in $DEMO"
    demo_stop_all
    demo_remove_place
  fi
  mkdir -m 755 "$DEMO" "$DEMO"/{run,log,proof}
  mkdir -m 700 "$DEMO/secrets"
}

demo_finish() {
  local code=$?
  trap '' INT TERM HUP
  trap - EXIT
  if [[ $code -eq 0 && $KEEP == yes ]]; then
    touch "$DEMO/kept"
    demo_say_kept
  else
    [[ $code -eq 0 ]] || demo_say_failed "$code"
    demo_stop_all
    demo_remove_place
    say "stopped everything the demo had started, and removed $DEMO"
  fi
  rm -f "$DEMO_LOCK"
  exit "$code"
}

# ---- talking ------------------------------------------------------------------------------------------------

readonly DEMO_PHASES=8
phase_number=0 phase_name='' phase_began=0

now_ms() { date +%s%3N; }

end_phase() {
  [[ -n $phase_name ]] || return 0
  printf '%s\t%s\n' "$phase_name" $(($(now_ms) - phase_began)) >>"$DEMO/proof/phases.tsv"
  phase_name=''
}

# phase NAME SENTENCE
phase() {
  end_phase
  phase_number=$((phase_number + 1)) phase_name=$1 phase_began=$(now_ms)
  printf '\n[%d/%d] %s: %s\n' "$phase_number" "$DEMO_PHASES" "$1" "$2"
}

# A command a person could type; its exit code is ours.
salvor() {
  printf '      $ salvor %s\n' "$*"
  attended "$PROGRAMS/salvor" "$@"
}

demo_say_failed() {
  local log
  ((phase_number > 0)) || return 0
  {
    printf '\nthe demo stopped in [%d/%d] %s (exit code %d)\n' "$phase_number" "$DEMO_PHASES" "$phase_name" "$1"
    (($1 < 128)) || return 0
    for log in "$DEMO"/log/*.log; do
      [[ -s $log ]] || continue
      printf -- '--- the last lines of %s\n' "$(basename "$log")"
      tail -n 8 "$log"
    done
  } >&2
}

demo_say_kept() {
  cat <<TEXT

left running in $DEMO (stop and remove it: tools/dev demo --stop)

  export PATH="$PROGRAMS:\$PATH"
  export SALVOR_SERVER=$SALVOR_SERVER SALVOR_TOKEN_FILE=$SALVOR_TOKEN_FILE
  salvor run list                      # then: salvor run show NAME
  psql -h $DEMO/pg -U postgres shop    # the restored database
  curl http://127.0.0.1:$SALVORD_PORT/metrics http://127.0.0.1:$AGENT_PORT/metrics
TEXT
}

# ---- the story ----------------------------------------------------------------------------------------------

demo_programs() {
  if [[ -z $PROGRAMS ]]; then
    configure release
    attended cmake --build --preset release -j "$(build_jobs)" \
      --target salvord salvor-agent salvor salvor-supervise
    PROGRAMS=$ROOT/build/release/bin
  fi
  local program
  for program in salvord salvor-agent salvor salvor-supervise; do
    [[ -x $PROGRAMS/$program ]] || die "there is no program $PROGRAMS/$program" "Leave --programs out to build it."
  done
  PROGRAMS=$(cd "$PROGRAMS" && pwd -P)
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

demo_start_salvor() {
  export SALVOR_SERVER=unix://$DEMO/salvord.sock SALVOR_TOKEN_FILE=$DEMO/salvord/api.token
  SALVORD_PORT=$(free_port) AGENT_PORT=$(free_port)
  python3 -c 'import secrets; print(secrets.token_urlsafe(32))' >"$DEMO/secrets/vault.password"
  chmod 600 "$DEMO/secrets/vault.password"
  start_process salvord TERM "$PROGRAMS/salvord" --state-directory "$DEMO/salvord" --listen "$SALVOR_SERVER" \
    --metrics-listen "127.0.0.1:$SALVORD_PORT"
  await salvord 20 "salvord answers" "$PROGRAMS/salvor" version
  # Says what the application's own checks may run here, and where files may be restored: the host's word, not the
  # control plane's.
  install -d -m 755 "$DEMO/checks"
  install -m 755 "$ROOT"/deploy/examples/checks/* "$DEMO/checks/"
  local allowed=(--allow-check-program "$DEMO/checks/shop-is-ready"
    --allow-check-program "$DEMO/checks/a-known-picture-is-there" --allow-write-below "$DEMO/uploads")
  [[ $EUID -eq 0 ]] && allowed+=(--check-user nobody)
  start_process salvor-agent TERM "$PROGRAMS/salvor-agent" --name host-a --environment local \
    --server "$SALVOR_SERVER" --token-file "$DEMO/salvord/agent.token" --state-directory "$DEMO/agent" \
    --metrics-listen "127.0.0.1:$AGENT_PORT" "${allowed[@]}"
  await salvor-agent 20 "the agent is connected" agent_is_connected
}

agent_is_connected() {
  "$PROGRAMS/salvor" agent list -o json | python3 -c '
import json, sys
sys.exit(0 if any(a.get("connected") for a in json.load(sys.stdin)["items"]) else 1)'
}

# keep_run KIND FILE: the newest run of a kind, whole, for the closing table.
keep_run() {
  local name
  name=$("$PROGRAMS/salvor" run list -o json | python3 "$ROOT/tools/demo/newest_run.py" "$1")
  "$PROGRAMS/salvor" run show "$name" -o json >"$DEMO/proof/$2"
}

demo_disaster() {
  stop_process writer
  say "      the writer had committed $(python3 -c 'import json,sys; print(json.load(sys.stdin)["committed"])' \
    <"$DEMO/proof/writer.json") transactions"
  lose_databases
  rm -rf "$DEMO/uploads"
  say "      databases shop and shop_audit dropped, their roles dropped, $DEMO/uploads deleted"
}

demo_story() {
  phase "programs" "install what is missing and build"
  cmd_setup
  demo_programs
  demo_room
  phase "application" "a PostgreSQL 15 with about $MIB MiB to dump, and a folder of uploads"
  start_database
  make_data
  remember_before
  phase "salvor" "start salvord and a host agent, and declare what to protect"
  demo_start_salvor
  salvor apply -f deploy/examples/shop.yaml
  phase "backup" "while a writer keeps changing both databases"
  start_writer
  salvor backup create shop --wait
  keep_run backup backup.json
  phase "drill" "restore into an isolated scratch server and folder, and check everything"
  salvor drill create --backup latest:shop --wait
  keep_run drill drill.json
  phase "disaster" "lose it all"
  demo_disaster
  phase "restore" "see what would happen, then do it"
  salvor restore create --backup latest:shop --to shop --dry-run
  salvor restore create --backup latest:shop --to shop --wait
  keep_run restore restore.json
  phase "proof" "look again, with stock tools only and none of Salvor's code"
  prove
  end_phase
  python3 "$ROOT/tools/demo/report.py" "$DEMO/proof"
}

cmd_demo() {
  demo_arguments "$@"
  unset "${!PG@}" "${!RESTIC_@}" "${!SALVOR_@}"
  export LC_ALL=C.UTF-8
  demo_lock
  if [[ $STOP == yes ]]; then
    [[ -d $DEMO && -O $DEMO ]] || { rm -f "$DEMO_LOCK" && say "no demo is there" && return; }
    demo_stop_all
    demo_remove_place
    rm -f "$DEMO_LOCK"
    say "stopped, and removed $DEMO"
    return
  fi
  say "Salvor's main job, on real data, on this machine: back up, drill, lose, restore, prove."
  say "Everything happens in $DEMO; Ctrl-C stops it all."
  trap 'rm -f "$DEMO_LOCK"' EXIT
  demo_take_place
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  trap demo_finish EXIT
  demo_story
}
