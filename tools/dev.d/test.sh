# shellcheck shell=bash
# Builds everything and runs the tests; ends with ctest's summary and its exit code. Those with the label `slow` only
# with --all. The tests that need the cluster are a suite of their own: it wants one that is up, and builds nothing.

cmd_test() {
  if [[ ${1:-} == --cluster ]]; then
    shift
    exec python3 "$ROOT/tests/cluster/suite/run.py" "$@"
  fi
  local tier=(--label-exclude '^slow$') rest=() word
  for word in "$@"; do
    if [[ $word == --all ]]; then tier=(); else rest+=("$word"); fi
  done
  # shellcheck source=tools/dev.d/setup.sh
  source "$PARTS/setup.sh"
  cmd_setup
  configure dev
  cmake --build --preset dev -j "$(build_jobs)"
  ctest --preset dev -j "$(test_jobs)" "${tier[@]}" "${rest[@]}"
}
