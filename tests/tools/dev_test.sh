#!/usr/bin/env bash
# tools/dev itself: what it says to a wrong call, and that the demo guards its one place.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# expect CODE WORDS COMMAND…
expect() {
  local wanted=$1 words=$2 code=0 output
  shift 2
  output=$("$@" 2>&1) || code=$?
  if [[ $code -ne $wanted || $output != *"$words"* ]]; then
    printf 'FAILED: %s\n  exit code %s, wanted %s, and: %s\n%s\n' "$*" "$code" "$wanted" "$words" "$output" >&2
    exit 1
  fi
  echo "passed: ${*#"$ROOT/"}"
}

expect 0 "tools/dev demo" "$ROOT/tools/dev"
expect 0 "tools/dev test" "$ROOT/tools/dev" help
expect 2 "no command 'conquer'" "$ROOT/tools/dev" conquer
expect 2 "a number of MiB" "$ROOT/tools/dev" demo --size lots
expect 2 "at least 16 MiB" "$ROOT/tools/dev" demo --size 3
expect 2 "does not know '--nonsense'" "$ROOT/tools/dev" demo --nonsense
expect 2 "takes --all, --tidy-changed and --no-tidy" "$ROOT/tools/dev" check --nonsense
expect 2 "takes --all or nothing" "$ROOT/tools/dev" format --nonsense
expect 2 "no benchmark '../dev'" "$ROOT/tools/dev" bench ../dev

# Every command that the help names is one, and the other way round.
commands=$(sed -n 's/^ *\(setup |[^)]*\)).*/\1/p' "$ROOT/tools/dev" | tr -d ' ' | tr '|' '\n')
for command in $commands; do
  grep -q "tools/dev $command" "$ROOT/tools/dev.d/help.txt" || { echo "help does not name $command" >&2; exit 1; }
  [[ -f $ROOT/tools/dev.d/$command.sh ]] || { echo "no part for $command" >&2; exit 1; }
done

# Setup: what is installed is not asked for again; what is not, is named.
missing_of() {
  (
    PARTS=$scratch
    # shellcheck source=tools/dev.d/setup.sh
    source "$ROOT/tools/dev.d/setup.sh"
    missing_packages
  )
}
printf '# a comment\nbash\n\nno-such-package-anywhere # another\ncoreutils\n' >"$scratch/packages.txt"
[[ $(missing_of) == no-such-package-anywhere ]] || { echo "wrong list of missing packages" >&2; exit 1; }
echo "passed: commands, help and missing packages"

# Tests: the slow ones only with --all, and what follows goes to ctest. With stand-ins for all that takes time.
# shellcheck disable=SC2317 # cmd_test calls the stand-ins
ctest_of() {
  (
    PARTS=$scratch
    echo 'cmd_setup() { :; }' >"$scratch/setup.sh"
    # shellcheck source=tools/dev.d/common.sh
    source "$ROOT/tools/dev.d/common.sh"
    # shellcheck source=tools/dev.d/test.sh
    source "$ROOT/tools/dev.d/test.sh"
    configure() { :; }
    cmake() { :; }
    test_jobs() { echo 3; }
    ctest() { echo "$*"; }
    cmd_test "$@"
  )
}
ctest_is() {
  local wanted=$1 got
  shift
  got=$(ctest_of "$@")
  [[ $got == "$wanted" ]] || { printf 'test %s runs: ctest %s\n' "$*" "$got" >&2; exit 1; }
}
ctest_is '--preset dev -j 3 --label-exclude ^slow$'
ctest_is '--preset dev -j 3 --label-exclude ^slow$ -R name' -R name
ctest_is '--preset dev -j 3' --all
ctest_is '--preset dev -j 3 -L slow' --all -L slow
echo "passed: the two tiers of tests"

# Setup inside a longer command (the demo's first run): what the caller has to do at its end is still done, and
# the guards are gone, also when the installation fails. `install_packages` runs with stand-ins for root's tools.
# shellcheck disable=SC2317 # setup calls the stand-ins
at_end_of_a_setup() {
  (
    PARTS=$scratch
    trap 'echo "the caller cleaned up"' EXIT
    # shellcheck source=tools/dev.d/common.sh
    source "$ROOT/tools/dev.d/common.sh"
    # shellcheck source=tools/dev.d/setup.sh
    source "$ROOT/tools/dev.d/setup.sh"
    install_guards() { touch "$scratch/guards"; }
    remove_guards() { rm "$scratch/guards"; }
    disable_new_services() { :; }
    AS_ROOT=("$1")
    install_packages nothing
  )
}
for stand_in in true false; do
  said=$(at_end_of_a_setup "$stand_in" 2>/dev/null) || true
  [[ $said == *"the caller cleaned up"* ]] || { echo "setup took its caller's trap (apt: $stand_in)" >&2; exit 1; }
  [[ ! -e $scratch/guards ]] || { echo "setup left its guards (apt: $stand_in)" >&2; exit 1; }
done
echo "passed: setup within a caller"
