#!/usr/bin/env bash
# The demo stops what it started, and nothing else.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
DEMO=$(mktemp -d)
# shellcheck source=tools/dev.d/common.sh
source "$ROOT/tools/dev.d/common.sh"
# shellcheck source=tools/dev.d/demo_processes.sh
source "$ROOT/tools/dev.d/demo_processes.sh"
mkdir "$DEMO"/{run,log}
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$DEMO"' EXIT

gone() { [[ -z $(start_time_of "$1") ]]; }

# One of ours is stopped, by its own signal.
start_process ours INT sleep 300
ours=$!
process_runs ours || die "a started process does not run"
stop_process ours
gone "$ours" || die "a process of ours goes on"
[[ ! -e $DEMO/run/ours ]] || die "a stopped process is still on record"

# A pid that was used again, so with another start time, is left alone.
sleep 300 &
other=$!
printf '%s 1 TERM\n' "$other" >"$DEMO/run/reused"
stop_process reused
gone "$other" && die "a process of someone else was stopped"

# Waiting ends at once when the process has died, and says where to look.
start_process short TERM true
if output=$(await short 30 "never" false 2>&1); then
  die "waiting for nothing succeeded"
fi
[[ $output == *"log/short.log"* ]] || die "waiting did not say where to look" "$output"

# A command in the foreground gives its exit code.
code=0
attended bash -c 'exit 7' || code=$?
[[ $code -eq 7 ]] || die "exit code $code instead of 7"

# A database server that a killed agent left in the demo's folder is found by its data directory.
mkdir "$DEMO/scratch"
(cd "$DEMO/scratch" && exec sleep 300) &
forgotten=$!
printf '%s\n' "$forgotten" >"$DEMO/scratch/postmaster.pid"
mkdir "$DEMO/elsewhere"
printf '%s\n' "$other" >"$DEMO/elsewhere/postmaster.pid"
until [[ $(readlink "/proc/$forgotten/cwd") == "$DEMO/scratch" ]]; do :; done
kill -CONT "$forgotten"
stop_forgotten_servers
gone "$forgotten" || die "a forgotten server goes on"
gone "$other" && die "a process outside of the folder was stopped"
echo "passed"
